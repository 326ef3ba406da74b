// transcode, the phases after its children: everything is put in its place. Both run in the manager.
//
// - assemble: the winners' segments, the final playlists; then the job is done, or, when progressive files
//   are wanted, transcode.mp4 makes them out of what is published.
// - finish: the progressive files are put in their place.
#include <fmt/format.h>

#include <algorithm>

#include "queue/handler_call.h"
#include "steps/attempt_files.h"
#include "steps/presentation.h"
#include "steps/transcode.h"

namespace spool::steps {
namespace {

using media::Rendition;

constexpr std::size_t kMostDamage = 1000;

// [{"track", "from", "to", "frames"}], in seconds, over all children. The video that is encoded is one track:
// a rung's chunk of its own reports what its twin does too.
Json damage_of(const std::vector<ChildResult>& children) {
  Json all = Json::array();
  for (const ChildResult& child : children) {
    const std::string track = child.kind == "transcode.chunk"   ? "video"
                              : child.kind == "transcode.remux" ? child.args.value("name", "video")
                                                                : child.name;
    for (Json& stretch : to_json(damage_from_json(child.result))) {
      stretch["track"] = track;
      if (all.size() < kMostDamage && std::find(all.begin(), all.end(), stretch) == all.end())
        all.push_back(std::move(stretch));
    }
  }
  return all;
}

// {NAME: {"integrated_lufs", "true_peak_dbtp", "gain_db"}} of the tracks that were normalised.
Json loudness_of(const std::vector<ChildResult>& children) {
  Json all = Json::object();
  for (const ChildResult& child : children) {
    if (child.kind != "transcode.audio" || !child.result.is_object()) continue;
    const Json told = child.result.value("loudness", Json());
    for (const char* key : {"integrated_lufs", "true_peak_dbtp", "gain_db"})
      if (told.is_object() && told.contains(key) && told.at(key).is_number())
        all[child.name][key] = told.at(key);
  }
  return all;
}

bool made_part_of_ladder(const ChildResult& child) {
  return child.kind != "transcode.mp4";
}

// What a child made becomes part of the presentation; a text track that could not be made stands there empty.
// `placed`: an earlier phase has put it all in its place.
Result<void> add(Presentation& presentation, const ChildResult& child, bool placed, Json& notes) {
  if (child.kind == "transcode.subtitles" && child.state != State::kSucceeded) {
    notes.push_back(
        fmt::format("{} is empty: it could not be made, see job {}", child.name, child.id.text()));
    SPOOL_ASSIGN(const auto borders, borders_from_json(child.args));
    return presentation.add_empty_subtitles(child.name, borders);
  }
  if (!child.token) return fail(Code::kInternal, fmt::format("{} succeeded without an attempt", child.name));
  SPOOL_ASSIGN(const auto made, all_made_from_json(child.result));
  for (std::string& note : notes_from_json(child.result)) notes.push_back(std::move(note));
  if (placed) return presentation.add_placed(made);
  return presentation.add(attempt_prefix(child.id, *child.token), made);
}

struct Assembled {
  Presentation presentation;
  Json notes;
};

Result<Assembled> gather(const Claim& claim, const PublishContext& context, bool placed) {
  SPOOL_ASSIGN(TranscodePlan plan, plan_from_json(claim.checkpoint));
  Assembled all{{*context.objects, destination_of(claim.args, claim.root, claim.name), std::move(plan)},
                Json::array()};
  if (!placed) SPOOL_TRY(all.presentation.look_around());
  for (const ChildResult& child : claim.children)
    if (made_part_of_ladder(child)) SPOOL_TRY(add(all.presentation, child, placed, all.notes));
  return all;
}

Json result_of(const Claim& claim, Assembled& all) {
  Json result = all.presentation.summary();
  for (Json& note : all.notes) result["notes"].push_back(std::move(note));
  result["damage"] = damage_of(claim.children);
  if (claim.args.contains("loudness")) result["loudness"] = loudness_of(claim.children);
  result["outputs"] = {{"master", "object:" + result["master"].get<std::string>()}};
  result["output"] = "master";
  return result;
}

// The highest rung and the default audio.
Mp4Task mp4_task(const Presentation& presentation) {
  Mp4Task task;
  const auto published = [&](const Rendition& r) {
    return PublishedTrack{"object:" + presentation.key(r.name + "/"), static_cast<int>(r.segments.size())};
  };
  for (const Rendition& r : presentation.renditions()) {
    if (r.kind == Rendition::Kind::kVideo && !task.video) task.video = published(r);
    if (r.kind == Rendition::Kind::kAudio && r.is_default) task.audio = published(r);
  }
  return task;
}

FanOut fan_out_to_mp4(const Presentation& presentation) {
  NewJob job;
  job.kind = "transcode.mp4";
  job.name = "mp4";
  job.args = to_json(mp4_task(presentation));
  FanOut out;
  out.children.push_back(std::move(job));
  out.next_phase = kFinishPhase;
  return out;
}

Result<Ending> assemble(const Claim& claim, const PublishContext& context) {
  SPOOL_ASSIGN(Assembled all, gather(claim, context, false));
  {
    SPOOL_ASSIGN(const auto lock, context.lock());
    SPOOL_TRY(all.presentation.write_final());
  }
  // The winners' outputs are in their places now; what the losers left goes with the rest.
  for (const ChildResult& child : claim.children)
    SPOOL_TRY(context.objects->remove_all(attempts_prefix(child.id)));
  if (claim.args.value("mp4", false)) return fan_out_to_mp4(all.presentation);
  return Succeeded{result_of(claim, all)};
}

// {"files": {NAME: bytes}}: what transcode.mp4 says that it made. Once a file is in its place its attempt's
// copy may be gone: a crash comes between.
Result<void> place_file(const ChildResult& child, const std::string& name, const std::string& key,
                        ObjectStore& objects) {
  SPOOL_ASSIGN(const auto there, objects.stat(key));
  if (there && Json(there->bytes) == child.result.at("files").at(name)) return {};
  return objects.copy(attempt_prefix(child.id, *child.token) + "/" + name, key);
}

Result<Ending> finish(const Claim& claim, const PublishContext& context) try {
  SPOOL_ASSIGN(Assembled all, gather(claim, context, true));
  Json result = result_of(claim, all);
  for (const ChildResult& child : claim.children) {
    if (made_part_of_ladder(child)) continue;
    if (!child.token || !child.result.contains("files"))
      return fail(Code::kInternal, fmt::format("{} succeeded without a file", child.name));
    for (const auto& [output, name] : {std::pair("mp4", kMp4Name), std::pair("m4a", kM4aName)}) {
      if (!child.result.at("files").contains(name)) continue;
      const std::string key = all.presentation.key(name);
      SPOOL_TRY(place_file(child, name, key, *context.objects));
      result["outputs"][output] = "object:" + key;
    }
    SPOOL_TRY(context.objects->remove_all(attempts_prefix(child.id)));
  }
  return Succeeded{std::move(result)};
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("what transcode.mp4 reported is malformed: {}", e.what()));
}

using Phase = Result<Ending>(const Claim&, const PublishContext&);

Ending run_in_manager(Phase& phase, const Attempt& attempt, const PublishContext& context) {
  if (context.objects == nullptr)
    return Failed{Error{Code::kInternal, "assembling runs in the manager alone"}};
  auto ending = phase(attempt.claim(), context);
  return ending ? std::move(*ending) : ending_of(std::move(ending).error());
}

}  // namespace

Ending assemble_transcode(Attempt& attempt, const PublishContext& context) {
  return run_in_manager(assemble, attempt, context);
}

Ending finish_transcode(Attempt& attempt, const PublishContext& context) {
  return run_in_manager(finish, attempt, context);
}

}  // namespace spool::steps
