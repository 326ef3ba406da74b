#include "av/library_facts.h"

#include <fmt/format.h>

#include "av/handles.h"

namespace spool::av {
namespace {

LibraryFact fact(const char* name, unsigned running, unsigned built) {
  return {name,
          fmt::format("{}.{}.{}", AV_VERSION_MAJOR(running), AV_VERSION_MINOR(running),
                      AV_VERSION_MICRO(running)),
          AV_VERSION_MAJOR(running) == AV_VERSION_MAJOR(built)};
}

}  // namespace

std::vector<LibraryFact> libraries() {
  return {fact("libavutil", avutil_version(), LIBAVUTIL_VERSION_INT),
          fact("libavcodec", avcodec_version(), LIBAVCODEC_VERSION_INT),
          fact("libavformat", avformat_version(), LIBAVFORMAT_VERSION_INT),
          fact("libavfilter", avfilter_version(), LIBAVFILTER_VERSION_INT),
          fact("libswscale", swscale_version(), LIBSWSCALE_VERSION_INT),
          fact("libswresample", swresample_version(), LIBSWRESAMPLE_VERSION_INT)};
}

std::string release() {
  return av_version_info();
}
std::string licence() {
  return avcodec_license();
}

bool has_encoder(const std::string& name) {
  return avcodec_find_encoder_by_name(name.c_str()) != nullptr;
}
bool has_decoder(const std::string& name) {
  return avcodec_find_decoder_by_name(name.c_str()) != nullptr;
}
bool has_filter(const std::string& name) {
  return avfilter_get_by_name(name.c_str()) != nullptr;
}

}  // namespace spool::av
