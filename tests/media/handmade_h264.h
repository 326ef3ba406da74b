// H.264 written by hand (ITU-T H.264 section 7.3), for streams that no encoder here makes: sizes that change
// to absurd ones, a picture in two fields. Every macroblock is I_PCM of one grey.
#pragma once

#include <cstdint>
#include <string>

namespace spool::media {

class HandmadeH264 {
 public:
  // Sizes in macroblocks; with `fields`, `high` is of a frame and even.
  HandmadeH264& parameter_sets(unsigned wide, unsigned high, bool fields = false) {
    wide_ = wide;
    high_ = high;
    fields_ = fields;
    begin(0x67);
    bits(77, 8), bits(0, 8), bits(51, 8);  // Main, no constraints, level 5.1
    ue(0), ue(0), ue(0), ue(4);            // id; frame_num and pic_order_cnt_lsb of four and eight bits
    ue(1), bits(0, 1);                     // reference frames, no gaps
    ue(wide - 1), ue((fields ? high / 2 : high) - 1);
    bits(fields ? 0 : 1, 1);  // frame_mbs_only_flag
    if (fields) bits(0, 1);   // mb_adaptive_frame_field_flag
    bits(1, 1), bits(0, 2);   // direct_8x8_inference; neither cropping nor VUI
    end();
    begin(0x68);
    ue(0), ue(0), bits(0, 2), ue(0), ue(0), ue(0), bits(0, 3), ue(0), ue(0), ue(0), bits(0, 3);
    end();
    return *this;
  }

  // A frame, or with fields its top and bottom one; every one is intra, the first of a stream an IDR.
  HandmadeH264& picture(std::uint8_t grey, unsigned most_macroblocks = ~0U) {
    for (unsigned field = 0; field < (fields_ ? 2U : 1U); ++field) slice(grey, field, most_macroblocks);
    ++count_;
    return *this;
  }
  // The next picture is an IDR: parameter sets may have changed.
  HandmadeH264& restart() {
    count_ = 0;
    return *this;
  }

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void slice(std::uint8_t grey, unsigned field, unsigned most_macroblocks) {
    const bool idr = count_ == 0 && field == 0;
    begin(idr ? 0x65 : 0x61);
    ue(0), ue(7), ue(0);   // first macroblock, an I slice of a picture of I slices, its PPS
    bits(count_ & 15, 4);  // frame_num
    if (fields_) bits(1, 1), bits(field, 1);
    if (idr) ue(0);  // idr_pic_id
    bits((2 * count_ + field) & 255, 8);
    idr ? bits(0, 2) : bits(0, 1);  // no long-term reference; a sliding window
    ue(0);                          // slice_qp_delta
    const unsigned macroblocks = wide_ * high_ / (fields_ ? 2 : 1);
    for (unsigned i = 0; i < macroblocks && i < most_macroblocks; ++i) {
      ue(25);  // I_PCM
      while (filled_ != 0) bits(0, 1);
      for (int byte = 0; byte < 384; ++byte) bits(byte < 256 ? grey : 128, 8);
    }
    end();
  }

  void begin(std::uint8_t header) {
    unit_.assign(1, static_cast<char>(header));
    filled_ = 0;
  }
  void end() {
    bits(1, 1);
    while (filled_ != 0) bits(0, 1);
    bytes_ += std::string("\0\0\0\1", 4);
    int zeros = 0;
    for (const char byte : unit_) {
      if (zeros == 2 && static_cast<unsigned char>(byte) <= 3) {
        bytes_ += '\3';
        zeros = 0;
      }
      bytes_ += byte;
      zeros = byte == 0 ? zeros + 1 : 0;
    }
  }
  void bits(unsigned value, int count) {
    while (count-- > 0) {
      if (filled_ == 0) unit_ += '\0';
      if ((value >> count & 1) != 0) unit_.back() = static_cast<char>(unit_.back() | 0x80 >> filled_);
      filled_ = (filled_ + 1) % 8;
    }
  }
  void ue(unsigned value) {
    int length = 0;
    while ((value + 1) >> (length + 1) != 0) ++length;
    bits(0, length);
    bits(value + 1, length + 1);
  }

  unsigned wide_ = 0, high_ = 0;
  bool fields_ = false;
  unsigned count_ = 0;  // pictures since the last IDR
  std::string unit_, bytes_;
  int filled_ = 0;  // bits of the last byte
};

}  // namespace spool::media
