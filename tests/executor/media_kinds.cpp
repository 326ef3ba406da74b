#include "executor/media_kinds.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavutil/opt.h>
}

#include <fmt/format.h>

#include <memory>
#include <stdexcept>

namespace spool {
namespace {

void check(int result, const char* what) {
  if (result >= 0) return;
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(result, text, sizeof text);
  throw std::runtime_error(fmt::format("{}: {}", what, text));
}

struct FreeGraph {
  void operator()(AVFilterGraph* graph) const { avfilter_graph_free(&graph); }
};
struct FreeCodec {
  void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
};
struct FreeFrame {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};

AVFilterContext* open_graph(AVFilterGraph& graph, const std::string& filters) {
  AVFilterInOut *inputs = nullptr, *outputs = nullptr;
  check(avfilter_graph_parse2(&graph, filters.c_str(), &inputs, &outputs), "filters");
  AVFilterContext* sink = nullptr;
  check(avfilter_graph_create_filter(&sink, avfilter_get_by_name("buffersink"), "out", nullptr, nullptr,
                                     &graph),
        "sink");
  check(avfilter_link(outputs->filter_ctx, static_cast<unsigned>(outputs->pad_idx), sink, 0), "link");
  avfilter_inout_free(&outputs);
  check(avfilter_graph_config(&graph, nullptr), "graph");
  return sink;
}

// Encodes what the filters make; the number of packets.
int encode(const std::string& filters, const std::string& encoder, int threads) {
  const std::unique_ptr<AVFilterGraph, FreeGraph> graph(avfilter_graph_alloc());
  AVFilterContext* sink = open_graph(*graph, filters);
  const AVCodec* found = avcodec_find_encoder_by_name(encoder.c_str());
  if (found == nullptr) throw std::runtime_error("no encoder " + encoder);
  const std::unique_ptr<AVCodecContext, FreeCodec> codec(avcodec_alloc_context3(found));
  codec->width = av_buffersink_get_w(sink);
  codec->height = av_buffersink_get_h(sink);
  codec->pix_fmt = static_cast<AVPixelFormat>(av_buffersink_get_format(sink));
  codec->time_base = av_buffersink_get_time_base(sink);
  codec->thread_count = threads;
  av_opt_set(codec->priv_data, "preset", "ultrafast", 0);
  check(avcodec_open2(codec.get(), found, nullptr), "open");
  const std::unique_ptr<AVFrame, FreeFrame> frame(av_frame_alloc());
  const std::unique_ptr<AVPacket, FreePacket> packet(av_packet_alloc());
  int packets = 0;
  for (bool more = true; more;) {
    more = av_buffersink_get_frame(sink, frame.get()) >= 0;
    check(avcodec_send_frame(codec.get(), more ? frame.get() : nullptr), "send");
    av_frame_unref(frame.get());
    while (avcodec_receive_packet(codec.get(), packet.get()) >= 0) {
      ++packets;
      av_packet_unref(packet.get());
    }
  }
  return packets;
}

}  // namespace

void add_media_kinds(Kinds& kinds) {
  Kind kind;
  kind.name = "encode";
  kind.run = [](Attempt& attempt) -> Ending {
    const Json& args = attempt.claim().args;
    return Succeeded{{{"packets", encode(args.at("filters"), args.at("encoder"), args.value("threads", 2))}}};
  };
  kinds.add(std::move(kind));
}

}  // namespace spool
