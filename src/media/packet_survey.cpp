#include "media/packet_survey.h"

#include <algorithm>

#include "media/frame_rate.h"

namespace spool::media {
namespace {

// Beyond it sums and differences of timestamps could overflow; nobody's film is there.
constexpr std::int64_t kMostTicks = std::int64_t{1} << 55;

}  // namespace

void PacketSurvey::add(const AVPacket& packet) {
  const std::int64_t place = packets_++;
  bytes_ += packet.size;
  if ((packet.flags & AV_PKT_FLAG_DISCARD) != 0) ++hidden_;
  if ((packet.flags & AV_PKT_FLAG_CORRUPT) != 0) ++damaged_;
  const bool key = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  const std::int64_t pts = packet.pts;
  if (pts == AV_NOPTS_VALUE || pts > kMostTicks || pts < -kMostTicks) {
    if (key) key_at_.push_back(place);
    return;
  }
  if (!pts_.empty() && pts < pts_.back()) reordered_ = true;
  if (key) {
    key_at_.push_back(place);
    key_pts_.push_back(pts);
  } else if (key_pts_.size() > 1 && pts < key_pts_.back()) {
    leading_ = true;
  }
  pts_.push_back(pts);
  end_ = std::max(end_, pts + std::clamp<std::int64_t>(packet.duration, 0, kMostTicks));
}

double PacketSurvey::seconds(AVRational time_base) const {
  if (pts_.empty() || time_base.num <= 0 || time_base.den <= 0) return 0;
  const auto first = *std::min_element(pts_.begin(), pts_.end());
  return static_cast<double>(end_ - first) * time_base.num / time_base.den;
}

Json PacketSurvey::rate(AVRational time_base, std::vector<AVRational> hints) const {
  std::vector<std::int64_t> shown = pts_;
  std::sort(shown.begin(), shown.end());
  shown.erase(std::unique(shown.begin(), shown.end()), shown.end());
  if (shown.size() < 3 || time_base.num <= 0 || time_base.den <= 0) return nullptr;
  // The last packets that were read may wait for frames that are shown before them.
  std::vector<Ratio> ratios;
  for (const AVRational& hint : hints)
    if (hint.num > 0 && hint.den > 0) ratios.push_back({hint.num, hint.den});
  const auto grid = frame_grid(shown, {time_base.num, time_base.den}, ratios);
  if (!grid) return {{"mode", "vfr"}, {"rate", nullptr}};
  return {{"mode", "cfr"}, {"rate", {grid->rate.num, grid->rate.den}}};
}

Json PacketSurvey::gop(AVRational time_base) const {
  if (key_at_.empty()) return nullptr;
  std::int64_t shortest = INT64_MAX, longest = 0, sum = 0;
  for (std::size_t i = 1; i < key_at_.size(); ++i) {
    const std::int64_t distance = key_at_[i] - key_at_[i - 1];
    shortest = std::min(shortest, distance);
    longest = std::max(longest, distance);
    sum += distance;
  }
  Json gop = {{"keyframes", key_at_.size()}, {"frames", packets_}, {"reordered", reordered_}};
  // Without a second keyframe nothing can be told of distances, or of what is shown before it.
  if (key_at_.size() < 2) {
    gop["structure"] = nullptr;
    return gop;
  }
  gop["shortest"] = shortest;
  gop["longest"] = longest;
  gop["average"] = static_cast<double>(sum) / static_cast<double>(key_at_.size() - 1);
  gop["structure"] = packets_ == static_cast<std::int64_t>(key_at_.size()) ? "intra"
                     : leading_                                            ? "open"
                                                                           : "closed";
  double gap = 0;
  for (std::size_t i = 1; i < key_pts_.size(); ++i)
    gap = std::max(gap, static_cast<double>(key_pts_[i] - key_pts_[i - 1]) * av_q2d(time_base));
  gop["longest_seconds"] = gap;
  return gop;
}

}  // namespace spool::media
