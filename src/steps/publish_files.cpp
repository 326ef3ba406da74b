#include "steps/publish_files.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "queue/handler_call.h"
#include "queue/store.h"
#include "steps/attempt_files.h"

namespace spool::steps {
namespace {

constexpr const char* kPublish = "publish";
constexpr std::size_t kMostInlineFiles = 400;  // a checkpoint holds 64 KiB

Ending make_phase(Attempt& attempt, const MakeFiles& make) {
  auto made = make(attempt);
  if (!made) return ending_of(std::move(made).error());
  // Thousands of names would not fit; the manager lists the attempt's folder all the same.
  made->erase("files");
  auto kept = attempt.checkpoint({{"winner", attempt.claim().token.text()}, {"made", std::move(*made)}});
  if (!kept) return ending_of(std::move(kept).error());
  return FanOut{{}, kPublish, false};
}

Result<Json> publish_phase(const Claim& claim, const PublishContext& context) {
  SPOOL_ASSIGN(const Token token, Token::parse(claim.checkpoint.at("winner").get<std::string>()));
  const std::string from = attempt_prefix(claim.job, token);
  const std::string to = destination_of(claim.args, claim.root, claim.name);
  Json outputs = Json::object();
  SPOOL_ASSIGN(const auto made, context.objects->list(from));
  for (const ObjectInfo& object : made) {
    const std::string name = object.key.substr(from.size() + 1);
    SPOOL_TRY(context.objects->copy(object.key, fmt::format("{}/{}", to, name)));
    if (outputs.size() < kMostInlineFiles) outputs[name] = fmt::format("object:{}/{}", to, name);
  }
  Json result = claim.checkpoint.at("made");
  result["outputs"] = std::move(outputs);
  result["folder"] = to;
  return result;
}

// After the commit: what the attempts of this job left.
void sweep(Store& store, const Claim& claim, ObjectStore& objects) {
  const auto job = store.get(claim.job);
  if (!job || !ended(job->state)) return;
  if (auto swept = objects.remove_all(attempts_prefix(claim.job)); !swept)
    spdlog::warn("what job {} left behind cannot be removed: {}", claim.job.text(), swept.error().message);
}

}  // namespace

void publish_made_files(Kind& kind, const PublishContext& context, MakeFiles make) {
  kind.inline_phases = {kPublish};
  kind.run = [context, make = std::move(make)](Attempt& attempt) -> Ending {
    if (attempt.claim().phase != kPublish) return make_phase(attempt, make);
    if (context.objects == nullptr)
      return Failed{{Code::kInternal, "files are published by the manager alone"}};
    auto published = publish_phase(attempt.claim(), context);
    if (!published) return ending_of(std::move(published).error());
    return Succeeded{std::move(*published)};
  };
  if (context.objects != nullptr)
    kind.follow_up = [context](Store& store, const Claim& claim) { sweep(store, claim, *context.objects); };
}

}  // namespace spool::steps
