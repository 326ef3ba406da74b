// FieldPairs: which packets hold the second field of a frame. H.264 in a transport or program stream comes in
// a packet for each field where fields are coded apart (ITU-T H.264 7.4.3: field_pic_flag); MP4 and Matroska
// keep both in one. One thread at a time.
#pragma once

#include <memory>

#include "av/handles.h"

namespace spool::media {

class FieldPairs {
 public:
  explicit FieldPairs(const AVStream& stream);
  // Packets in decode order, each once.
  [[nodiscard]] bool is_second(const AVPacket& packet);

 private:
  struct Close {
    void operator()(AVCodecParserContext* parser) const { av_parser_close(parser); }
  };
  std::unique_ptr<AVCodecParserContext, Close> parser_;  // null: another codec, whose packets are frames
  av::CodecContext codec_;
  AVPictureStructure open_ = AV_PICTURE_STRUCTURE_UNKNOWN;  // a first field whose second is still to come
};

}  // namespace spool::media
