#include "media/field_pairs.h"

namespace spool::media {

FieldPairs::FieldPairs(const AVStream& stream) {
  if (stream.codecpar->codec_id != AV_CODEC_ID_H264) return;
  codec_.reset(avcodec_alloc_context3(nullptr));
  if (avcodec_parameters_to_context(codec_.get(), stream.codecpar) < 0) return;
  parser_.reset(av_parser_init(AV_CODEC_ID_H264));
  if (parser_) parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
}

bool FieldPairs::is_second(const AVPacket& packet) {
  if (!parser_) return false;
  std::uint8_t* out = nullptr;
  int size = 0;
  av_parser_parse2(parser_.get(), codec_.get(), &out, &size, packet.data, packet.size, packet.pts, packet.dts,
                   packet.pos);
  const AVPictureStructure structure = parser_->picture_structure;
  const bool field =
      structure == AV_PICTURE_STRUCTURE_TOP_FIELD || structure == AV_PICTURE_STRUCTURE_BOTTOM_FIELD;
  const bool second = field && open_ != AV_PICTURE_STRUCTURE_UNKNOWN && open_ != structure;
  open_ = field && !second ? structure : AV_PICTURE_STRUCTURE_UNKNOWN;
  return second;
}

}  // namespace spool::media
