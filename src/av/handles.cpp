#include "av/handles.h"

#include <fmt/format.h>

#include <cstdlib>

namespace spool::av {
namespace {

Code code_of(int averror) {
  switch (averror) {
    case AVERROR_INVALIDDATA:
    case AVERROR_EOF:
      return Code::kCorruptInput;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_DEMUXER_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
      return Code::kUnsupported;
    case AVERROR_EXIT:
      return Code::kCancelled;
    case AVERROR(ENOMEM):
      return Code::kLimitExceeded;
    default:
      return averror < 0 && averror > -4096 ? errno_error(AVUNERROR(averror), "").code : Code::kInternal;
  }
}

}  // namespace

Packet make_packet() {
  Packet packet(av_packet_alloc());
  if (!packet) std::abort();
  return packet;
}

Frame make_frame() {
  Frame frame(av_frame_alloc());
  if (!frame) std::abort();
  return frame;
}

Result<void> Dictionary::unused(const char* what) const {
  if (const AVDictionaryEntry* left = av_dict_get(dict_, "", nullptr, AV_DICT_IGNORE_SUFFIX))
    return fail(Code::kInternal, fmt::format("{}: option '{}' was not taken", what, left->key));
  return {};
}

Error av_error(int code, std::string_view what) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return Error{code_of(code), fmt::format("{}: {}", what, text), code};
}
tl::unexpected<Error> fail_av(int code, std::string_view what) {
  return tl::unexpected<Error>(av_error(code, what));
}

}  // namespace spool::av
