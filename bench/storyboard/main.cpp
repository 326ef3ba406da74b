// One storyboard of a film: bench_storyboard FILM FOLDER. bench/storyboard/run times it beside ffmpeg.
#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>

#include "media/stills.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: bench_storyboard FILM FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = argv[2];
  auto made = [&]() -> spool::Result<spool::Json> {
    SPOOL_ASSIGN(spool::UniqueFd file, spool::open_file(argv[1], O_RDONLY | O_CLOEXEC));
    SPOOL_ASSIGN(const spool::ByteSource source, spool::file_source(std::move(file), argv[1]));
    spool::media::ThumbnailOptions options;
    options.sprite = true;
    options.width = 160;
    return spool::media::make_thumbnails(source, options,
                                         [&](std::string_view name, std::span<const std::byte> bytes) {
                                           return spool::write_file_atomic(folder / name, bytes);
                                         },
                                         {});
  }();
  if (!made) {
    fmt::print(stderr, "{}\n", made.error().message);
    return 1;
  }
  fmt::print("{}\n", spool::to_text(*made));
}
