#include "steps/publish_files.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <set>

#include "queue/handler_call.h"
#include "steps/attempt_files.h"

namespace spool::steps {
namespace {

constexpr const char* kPublish = "publish";
constexpr std::size_t kMostInlineFiles = 400;  // a checkpoint holds 64 KiB

Ending make_phase(Attempt& attempt, const MakeFiles& make) {
  auto made = make(attempt);
  if (!made) return ending_of(std::move(made).error());
  // Thousands of names would not fit; the manager lists the attempt's folder all the same.
  const std::size_t files = made->at("files").size();
  made->erase("files");
  auto kept = attempt.checkpoint(
      {{"winner", attempt.claim().token.text()}, {"files", files}, {"made", std::move(*made)}});
  if (!kept) return ending_of(std::move(kept).error());
  return FanOut{{}, kPublish, false};
}

Result<Json> publish_phase(const Claim& claim, ObjectStore& objects) {
  SPOOL_ASSIGN(const PublishedFiles published, publish_winner(claim, objects));
  Json outputs = Json::object();
  for (const std::string& name : published.names)
    if (outputs.size() < kMostInlineFiles)
      outputs[name] = fmt::format("object:{}/{}", published.folder, name);
  Json result = claim.checkpoint.at("made");
  result["outputs"] = std::move(outputs);
  result["folder"] = published.folder;
  return result;
}

// The folder of the attempt that wrote this object.
std::string attempt_of(const std::string& key, const std::string& attempts) {
  return key.substr(0, key.find('/', attempts.size() + 1));
}

// The attempt whose files a retry would publish; "" when none has won yet.
Result<std::string> needed_attempt(const Job& job) {
  if (!job.checkpoint.is_object() || !job.checkpoint.contains("winner")) return std::string();
  SPOOL_ASSIGN(const Token winner, Token::parse(job.checkpoint["winner"].get<std::string>()));
  return attempt_prefix(job.id, winner);
}

Result<void> try_sweep(Store& store, const Uuid& id, ObjectStore& objects) {
  const std::string attempts = attempts_prefix(id);
  // Listed before the job is looked at: what a retry begins meanwhile is not on the list.
  SPOOL_ASSIGN(const auto left, objects.list(attempts));
  if (left.empty()) return {};
  SPOOL_ASSIGN(const Job job, store.get(id));
  if (!ended(job.state)) return {};
  if (job.state == State::kSucceeded) return objects.remove_all(attempts);
  SPOOL_ASSIGN(const std::string needed, needed_attempt(job));
  std::set<std::string> losers;
  for (const ObjectInfo& object : left) losers.insert(attempt_of(object.key, attempts));
  losers.erase(needed);
  for (const std::string& loser : losers) SPOOL_TRY(objects.remove_all(loser));
  return {};
}

}  // namespace

Result<PublishedFiles> publish_winner(const Claim& claim, ObjectStore& objects) {
  SPOOL_ASSIGN(const Token token, Token::parse(claim.checkpoint.at("winner").get<std::string>()));
  const std::string from = attempt_prefix(claim.job, token);
  SPOOL_ASSIGN(const auto made, objects.list(from));
  const auto wanted = read_value<std::size_t>(claim.checkpoint.at("files"));
  if (made.size() < wanted)
    return fail(Code::kNotFound, fmt::format("{} of the {} files that were made are gone from {}",
                                             wanted - made.size(), wanted, from));
  PublishedFiles published{destination_of(claim.args, claim.root, claim.name), {}};
  for (const ObjectInfo& object : made) {
    published.names.push_back(object.key.substr(from.size() + 1));
    SPOOL_TRY(objects.copy(object.key, fmt::format("{}/{}", published.folder, published.names.back())));
  }
  return published;
}

void sweep_attempts(Store& store, const Uuid& job, ObjectStore& objects) {
  if (auto swept = try_sweep(store, job, objects); !swept)
    spdlog::warn("what job {} left behind cannot be removed: {}", job.text(), swept.error().message);
}

void publish_made_files(Kind& kind, const PublishContext& context, MakeFiles make) {
  kind.inline_phases = {kPublish};
  kind.run = [context, make = std::move(make)](Attempt& attempt) -> Ending {
    if (attempt.claim().phase != kPublish) return make_phase(attempt, make);
    if (context.objects == nullptr)
      return Failed{{Code::kInternal, "files are published by the manager alone"}};
    auto published = publish_phase(attempt.claim(), *context.objects);
    if (!published) return ending_of(std::move(published).error());
    return Succeeded{std::move(*published)};
  };
  if (context.objects != nullptr)
    kind.follow_up = [context](Store& store, const Claim& claim) {
      sweep_attempts(store, claim.job, *context.objects);
    };
}

}  // namespace spool::steps
