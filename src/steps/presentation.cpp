#include "steps/presentation.h"

#include <fmt/format.h>

#include <algorithm>

#include "media/subtitles.h"

namespace spool::steps {

using media::Rendition;

Presentation::Presentation(ObjectStore& objects, std::string destination, TranscodePlan plan)
    : objects_(objects),
      destination_(std::move(destination)),
      plan_(std::move(plan)),
      growing_(objects.lock_folder() ? final_
                                     : Names{"growing.m3u8", {"growing.m3u8", "growing-iframes.m3u8"}}) {
  for (const Rendition& rendition : plan_.renditions) tracks_.push_back({rendition, {}, false, 0});
}

std::string Presentation::key(const std::string& name) const {
  return destination_.empty() ? name : destination_ + "/" + name;
}

Presentation::Track* Presentation::find(const std::string& name) {
  const auto it =
      std::find_if(tracks_.begin(), tracks_.end(), [&](const Track& t) { return t.rendition.name == name; });
  return it == tracks_.end() ? nullptr : &*it;
}

Result<void> Presentation::look_around() {
  std::map<std::string, std::int64_t> found;
  for (const Track& track : tracks_) {
    SPOOL_ASSIGN(const auto objects, objects_.list(key(track.rendition.name)));
    for (const ObjectInfo& object : objects) found[object.key] = object.bytes;
  }
  there_ = std::move(found);
  return {};
}

Result<std::optional<std::int64_t>> Presentation::bytes_of(const std::string& key) const {
  if (there_) {
    const auto found = there_->find(key);
    return found == there_->end() ? std::nullopt : std::optional(found->second);
  }
  SPOOL_ASSIGN(const auto there, objects_.stat(key));
  return there ? std::optional(there->bytes) : std::nullopt;
}

// An output that is there with its size is there: every attempt of a job makes the same bytes.
Result<void> Presentation::place_one(const std::string& prefix, const std::string& name, std::int64_t bytes) {
  SPOOL_ASSIGN(const auto there, bytes_of(key(name)));
  if (there && (bytes < 0 || *there == bytes)) return {};
  return objects_.copy(prefix + "/" + name, key(name));
}

Result<void> Presentation::place(const std::string& prefix, const MadeRendition& made, const Track& track) {
  const std::string folder = made.name + "/";
  if (!made.codecs.empty() && track.rendition.kind != Rendition::Kind::kSubtitles)
    SPOOL_TRY(place_one(prefix, folder + "init.mp4", -1));
  if (made.complete && track.rendition.kind == Rendition::Kind::kSubtitles)
    SPOOL_TRY(place_one(prefix, folder + "all.vtt", -1));
  const auto known = static_cast<int>(track.rendition.segments.size());
  for (std::size_t i = 0; i < made.segments.size(); ++i) {
    const int index = made.first_segment + static_cast<int>(i);
    if (index < known || track.waiting.contains(index)) continue;
    SPOOL_TRY(place_one(prefix,
                        folder + media::segment_name(static_cast<std::size_t>(index), track.rendition.kind),
                        made.segments[i].bytes));
  }
  return {};
}

Result<Presentation::Track*> Presentation::planned(const MadeRendition& made) {
  Track* track = find(made.name);
  if (track == nullptr)
    return fail(Code::kInvalidArgument,
                fmt::format("a child reported '{}', which was not planned", made.name));
  if (track->rendition.kind == Rendition::Kind::kVideo &&
      made.first_segment + static_cast<int>(made.segments.size()) > plan_.segments)
    return fail(Code::kInvalidArgument,
                fmt::format("{}: a child reported segments beyond the plan", made.name));
  return track;
}

void Presentation::take(const MadeRendition& made, Track& track) {
  if (!made.codecs.empty()) track.rendition.codecs = made.codecs;
  if (made.sample_rate > 0) {
    track.rendition.sample_rate = made.sample_rate;
    track.rendition.timescale = static_cast<std::uint32_t>(made.sample_rate);
    track.rendition.channels = made.channels;
  }
  auto& segments = track.rendition.segments;
  for (std::size_t i = 0; i < made.segments.size(); ++i)
    if (const int index = made.first_segment + static_cast<int>(i);
        index >= static_cast<int>(segments.size()))
      track.waiting.emplace(index, made.segments[i]);
  for (auto it = track.waiting.begin();
       it != track.waiting.end() && it->first == static_cast<int>(segments.size());
       it = track.waiting.erase(it))
    segments.push_back(std::move(it->second));
  track.whole = track.whole || made.complete;
}

Result<void> Presentation::add(const std::string& prefix, const std::vector<MadeRendition>& all) {
  for (const MadeRendition& made : all) {
    SPOOL_ASSIGN(Track* const track, planned(made));
    SPOOL_TRY(place(prefix, made, *track));
    take(made, *track);
  }
  return {};
}

Result<void> Presentation::add_placed(const std::vector<MadeRendition>& all) {
  for (const MadeRendition& made : all) {
    SPOOL_ASSIGN(Track* const track, planned(made));
    take(made, *track);
  }
  return {};
}

Result<void> Presentation::add_empty_subtitles(const std::string& name, const std::vector<double>& borders) {
  Track* track = find(name);
  if (track == nullptr || track->rendition.kind != Rendition::Kind::kSubtitles)
    return fail(Code::kInvalidArgument, fmt::format("'{}' is no text track of the plan", name));
  const auto empty = media::segment_subtitles({}, borders, plan_.seconds);
  for (std::size_t i = 0; i < empty.segments.size(); ++i)
    SPOOL_TRY(put(name + "/" + media::segment_name(i, track->rendition.kind), empty.segments[i]));
  SPOOL_TRY(put(name + "/all.vtt", empty.all));
  track->rendition.segments = empty.packaged;
  track->waiting.clear();
  track->whole = true;
  return {};
}

Result<void> Presentation::put(const std::string& name, const std::string& text) {
  return objects_.put(key(name), std::as_bytes(std::span(text)));
}

Result<void> Presentation::write_media_playlists(const Track& track, const Names& names) {
  const std::string folder = track.rendition.name + "/";
  SPOOL_TRY(
      put(folder + names.of_track.media, media::hls_media_playlist(track.rendition, plan_.target_seconds)));
  if (track.rendition.kind == Rendition::Kind::kVideo)
    SPOOL_TRY(put(folder + names.of_track.iframes,
                  media::hls_iframe_playlist(track.rendition, plan_.target_seconds)));
  return {};
}

Result<void> Presentation::write_master(const Names& names) {
  return put(names.master, media::hls_master(renditions(), plan_.target_seconds, names.of_track));
}

std::vector<Rendition> Presentation::renditions() const {
  std::vector<Rendition> all;
  for (const Track& track : tracks_) all.push_back(track.rendition);
  return all;
}

bool Presentation::can_begin(const Track& track) {
  const bool text = track.rendition.kind == Rendition::Kind::kSubtitles;
  return !track.rendition.segments.empty() &&
         (text ? track.whole && track.waiting.empty() : !track.rendition.codecs.empty());
}

Result<void> Presentation::write_early() {
  if (early_written_ || !grows_in_place()) return {};
  std::vector<Rendition> first;
  const Track* lowest = nullptr;
  for (const Track& track : tracks_) {
    if (track.rendition.kind == Rendition::Kind::kVideo) lowest = &track;
    if (track.rendition.kind != Rendition::Kind::kAudio) continue;
    if (!can_begin(track)) return {};
    first.push_back(track.rendition);
  }
  if (lowest == nullptr || !can_begin(*lowest)) return {};
  first.insert(first.begin(), lowest->rendition);
  SPOOL_TRY(put(kEarlyMaster, media::hls_master(first, plan_.target_seconds, growing_.of_track)));
  early_written_ = true;
  return {};
}

Result<void> Presentation::write_growing() {
  bool every_one_begins = true;
  for (Track& track : tracks_) {
    const bool text = track.rendition.kind == Rendition::Kind::kSubtitles;
    const bool begins = can_begin(track);
    every_one_begins = every_one_begins && begins;
    if (!begins || track.written == track.rendition.segments.size()) continue;
    track.rendition.complete = text;  // nothing will be added: players need not ask again
    SPOOL_TRY(write_media_playlists(track, growing_));
    track.written = track.rendition.segments.size();
  }
  if (!every_one_begins) return write_early();
  if (master_written_) return {};
  SPOOL_TRY(write_master(growing_));
  master_written_ = true;
  return {};
}

Result<void> Presentation::write_final() {
  for (Track& track : tracks_) {
    Rendition& r = track.rendition;
    const bool video = r.kind == Rendition::Kind::kVideo;
    if (!track.waiting.empty() || r.segments.empty() ||
        (video ? static_cast<int>(r.segments.size()) != plan_.segments : !track.whole))
      return fail(Code::kInternal, fmt::format("{}: segment {} of it is missing", r.name, r.segments.size()));
    r.complete = true;
    SPOOL_TRY(write_media_playlists(track, final_));
  }
  SPOOL_TRY(put("manifest.mpd", media::dash_mpd(renditions(), plan_.target_seconds)));
  SPOOL_TRY(write_master(final_));
  return grows_in_place() ? objects_.remove(key(kEarlyMaster)) : complete_growing();
}

// For those who began to watch before the end.
Result<void> Presentation::complete_growing() {
  for (const Track& track : tracks_) {
    SPOOL_ASSIGN(const auto began, objects_.stat(key(track.rendition.name + "/" + growing_.of_track.media)));
    if (began) SPOOL_TRY(write_media_playlists(track, growing_));
  }
  SPOOL_ASSIGN(const auto began, objects_.stat(key(growing_.master)));
  return began ? write_master(growing_) : Result<void>();
}

Json Presentation::playable() const {
  Json out = Json::object();
  for (const Track& track : tracks_)
    if (track.written > 0)
      out["playlists"].push_back(key(track.rendition.name + "/" + growing_.of_track.media));
  if (master_written_) out["master"] = key(growing_.master);
  return out;
}

Json Presentation::summary() const {
  Json list = Json::array();
  double seconds = plan_.seconds;  // without video: only what was made tells
  for (const Track& track : tracks_) {
    const Rendition& r = track.rendition;
    std::int64_t bytes = 0;
    for (const media::PackagedSegment& s : r.segments) bytes += s.bytes;
    if (plan_.segments == 0 && !r.segments.empty())
      seconds = std::max(
          seconds, static_cast<double>(r.segments.back().pts + r.segments.back().duration) / r.timescale);
    const auto rate = media::measured_bandwidth(r, plan_.target_seconds);
    Json item = {{"name", r.name},
                 {"playlist", key(r.name + "/playlist.m3u8")},
                 {"codecs", r.codecs},
                 {"segments", r.segments.size()},
                 {"bytes", bytes},
                 {"bandwidth", rate.peak},
                 {"average_bandwidth", rate.average}};
    if (r.kind == Rendition::Kind::kVideo) item.update({{"width", r.width}, {"height", r.height}});
    if (r.kind != Rendition::Kind::kVideo) item["language"] = r.language;
    list.push_back(std::move(item));
  }
  return {{"master", key("master.m3u8")}, {"manifest", key("manifest.mpd")}, {"seconds", seconds},
          {"frames", plan_.frames},       {"renditions", std::move(list)},   {"notes", plan_.notes}};
}

}  // namespace spool::steps
