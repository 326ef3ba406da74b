// Videos for tests, made by the ffmpeg program once per run and name.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

extern "C" {
#include <libavutil/log.h>
}

#include "base/file.h"
#include "base/temporary_folder.h"

namespace spool::media {

inline const std::filesystem::path& made_folder() {
  av_log_set_level(AV_LOG_FATAL);  // what encoders say of themselves is not a test's output
  static const TemporaryFolder folder;
  return folder.path();
}

// Runs `ffmpeg ARGUMENTS FOLDER/name`, unless that is there already.
inline std::filesystem::path made_video(const std::string& name, const std::string& arguments) {
  const std::filesystem::path path = made_folder() / name;
  if (std::filesystem::exists(path)) return path;
  const std::string command = fmt::format("ffmpeg -nostdin -v error -y {} '{}'", arguments, path.string());
  if (std::system(command.c_str()) != 0) ADD_FAILURE() << "cannot make " << name << ": " << command;
  return path;
}

inline ByteSource open_video(const std::filesystem::path& path) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd) {
    ADD_FAILURE() << fd.error().message;
    return {};
  }
  auto source = file_source(std::move(*fd), path.filename().string());
  if (!source) {
    ADD_FAILURE() << source.error().message;
    return {};
  }
  return std::move(*source);
}

}  // namespace spool::media
