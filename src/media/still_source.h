// StillSource: single pictures of a film, upright, with square pixels, standard range, at one size, as JPEG
// wants them. Keyframes are reached by the container's index and decoded alone. One thread at a time.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>

#include "av/decoder.h"
#include "av/input.h"
#include "base/file.h"
#include "media/picture.h"

namespace spool::media {

class StillSource {
 public:
  struct Box {
    int width = 0;   // at most
    int height = 0;  // at most; 0: whatever follows from the width
  };
  // Errors: as av::Input::open; kUnsupported without video; kCorruptInput when nothing decodes.
  [[nodiscard]] static Result<StillSource> open(const ByteSource& source, Box box, std::stop_token stop);

  [[nodiscard]] Size size() const { return size_; }            // even, of every picture
  [[nodiscard]] double duration() const { return duration_; }  // seconds; 0: unknown
  [[nodiscard]] const Picture& picture() const { return picture_; }

  struct Still {
    av::Frame frame;  // YUVJ420P; nullptr at the end of the film
    double at = 0;    // seconds from the film's start
  };
  // The picture that is shown at `at`, or a keyframe before it that is not older than `tolerance` seconds:
  // then nothing else is decoded. Past the end: the last one that can be had. Errors: kCorruptInput when
  // there is none.
  [[nodiscard]] Result<Still> at(double at, double tolerance);
  // From the start, every picture in order; not to be mixed with at(). `wanted(n)`: whether picture n is
  // rendered.
  [[nodiscard]] Result<Still> next(const std::function<bool(std::int64_t)>& wanted);

 private:
  StillSource(av::Input input, av::Decoder decoder)
      : input_(std::move(input)), decoder_(std::move(decoder)) {}
  [[nodiscard]] AVStream& stream() const { return *input_.get()->streams[picture_.stream]; }
  [[nodiscard]] double seconds_of(std::int64_t ticks) const;
  Result<bool> read_packet();  // of the video; false at the end
  Result<bool> next_frame();   // into frame_; false at the end
  // Seeks; reads a keyframe into packet_ that is shown at `at` or before, or the first one if there is none.
  Result<bool> keyframe_before(double at);
  [[nodiscard]] std::int64_t key_time() const;  // of packet_
  Result<bool> keyframe_from(double at);        // the one that a seek finds, or the first behind
  Result<bool> decode_alone();                  // packet_ into frame_
  Result<Still> render(const AVFrame& frame);
  Result<void> build_graph(const AVFrame& like);
  [[nodiscard]] std::string filters() const;

  av::Input input_;
  av::Decoder decoder_;
  Picture picture_;
  Size size_;
  double duration_ = 0;
  std::int64_t zero_ = 0;  // PTS of the film's start
  std::int64_t count_ = 0;
  bool draining_ = false;
  std::optional<std::int64_t> shown_key_;  // PTS of the keyframe that frame_ holds
  av::Packet packet_ = av::make_packet();
  av::Frame frame_ = av::make_frame();
  av::FilterGraph graph_;
  AVFilterContext* in_ = nullptr;  // the graph's
  AVFilterContext* out_ = nullptr;
  int width_ = 0, height_ = 0, format_ = -1;  // that the graph was built for
};

}  // namespace spool::media
