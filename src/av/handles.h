// Owners for what the FFmpeg libraries allocate. No bare av_*_free anywhere else.
#pragma once

#include <memory>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavfilter/avfilter.h>
#include <libavformat/avformat.h>
#include <libavutil/dict.h>
#include <libavutil/frame.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
}

#include "base/error.h"

namespace spool::av {

template <auto Free>
struct FreeByPointer {
  template <class T>
  void operator()(T* p) const {
    Free(&p);
  }
};
template <auto Free>
struct FreeByValue {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};

using Packet = std::unique_ptr<AVPacket, FreeByPointer<av_packet_free>>;
using Frame = std::unique_ptr<AVFrame, FreeByPointer<av_frame_free>>;
using CodecContext = std::unique_ptr<AVCodecContext, FreeByPointer<avcodec_free_context>>;
using CodecParameters = std::unique_ptr<AVCodecParameters, FreeByPointer<avcodec_parameters_free>>;
using InputContext = std::unique_ptr<AVFormatContext, FreeByPointer<avformat_close_input>>;
using OutputContext = std::unique_ptr<AVFormatContext, FreeByValue<avformat_free_context>>;
using FilterGraph = std::unique_ptr<AVFilterGraph, FreeByPointer<avfilter_graph_free>>;
using FilterInOut = std::unique_ptr<AVFilterInOut, FreeByPointer<avfilter_inout_free>>;
using BitstreamFilter = std::unique_ptr<AVBSFContext, FreeByPointer<av_bsf_free>>;
using Resampler = std::unique_ptr<SwrContext, FreeByPointer<swr_free>>;
using Scaler = std::unique_ptr<SwsContext, FreeByValue<sws_freeContext>>;

// Allocation failure ends the program: nothing sensible can follow.
[[nodiscard]] Packet make_packet();
[[nodiscard]] Frame make_frame();

// Options for an open call. Keys that were not taken are an error (unused()).
class Dictionary {
 public:
  Dictionary() = default;
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  ~Dictionary() { av_dict_free(&dict_); }
  void set(const char* key, const char* value) { av_dict_set(&dict_, key, value, 0); }
  void set(const char* key, std::int64_t value) { av_dict_set_int(&dict_, key, value, 0); }
  [[nodiscard]] AVDictionary** out() { return &dict_; }
  // Errors: kInternal naming the first key that nobody took.
  [[nodiscard]] Result<void> unused(const char* what) const;

 private:
  AVDictionary* dict_ = nullptr;
};

// An AVERROR as an Error: "<what>: <text>". EAGAIN and EOF are states, not errors: handle them before.
[[nodiscard]] Error av_error(int code, std::string_view what);
[[nodiscard]] tl::unexpected<Error> fail_av(int code, std::string_view what);

}  // namespace spool::av
