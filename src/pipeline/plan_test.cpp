#include "pipeline/plan.h"

#include <gtest/gtest.h>

namespace spool::pipeline {
namespace {

// An attempt of an inline kind: it has a claim, and nothing to read or write.
class InlineAttempt : public Attempt {
 public:
  explicit InlineAttempt(Claim claim) : claim_(std::move(claim)) {}
  const Claim& claim() const override { return claim_; }
  std::stop_token stop_token() const override { return {}; }
  void progress(double, Json) override {}
  Result<void> checkpoint(Json) override { return {}; }
  void log(std::string_view) override {}
  Result<ByteSource> open_input(std::string_view) override {
    return fail(Code::kUnsupported, "no files here");
  }
  Result<void> put_output(std::string_view, std::span<const std::byte>) override {
    return fail(Code::kUnsupported, "no files here");
  }
  Result<UniqueFd> create_output(std::string_view) override {
    return fail(Code::kUnsupported, "no files here");
  }
  Result<void> commit_output(std::string_view, UniqueFd) override {
    return fail(Code::kUnsupported, "no files here");
  }

 private:
  Claim claim_;
};

Document document() {
  Document out;
  out.name = "talk";
  Step thumbs;
  thumbs.name = "thumbs";
  thumbs.kind = "thumbnails";
  thumbs.args = {{"input", "$steps.ladder.mp4"}};
  thumbs.references = {{"/input", "ladder", "mp4"}};
  thumbs.needs = {"captions", "ladder"};
  Step ladder;
  ladder.name = "ladder";
  ladder.kind = "transcode";
  ladder.args = {{"input", "$source"}};
  ladder.sources = {"/input"};
  Step captions;
  captions.name = "captions";
  captions.kind = "captions";
  captions.optional = true;
  out.steps = {thumbs, ladder, captions};
  return out;
}

NewJob planned() {
  NewJob base;
  base.queue = "night";
  return plan_pipeline(document(), "file:/talk.mov", base).value();
}

Claim claim_of(const NewJob& job) {
  Claim claim;
  claim.job = *Uuid::parse("01890a5d-ac96-774b-bcce-b302099a8057");
  claim.root = claim.job;
  claim.kind = job.kind;
  claim.name = job.name;
  claim.args = job.args;
  return claim;
}

Kinds pipeline_kinds(ReadJob read) {
  Kinds kinds;
  add_pipeline_kinds(kinds, std::move(read),
                     [](Uuid, Uuid, const std::optional<Token>&, std::string_view name) {
                       return "object:won/" + std::string(name);
                     });
  return kinds;
}

const Kind& pipeline_kind() {
  static const Kinds kinds = pipeline_kinds([](Uuid) { return fail(Code::kNotFound, "no jobs here"); });
  return *kinds.find(kPipelineKind);
}

// The claim of the step that takes the ladder's MP4.
Claim claim_of_thumbs() {
  InlineAttempt attempt(claim_of(planned()));
  const Ending ending = pipeline_kind().run(attempt);
  const NewJob job = std::get<FanOut>(ending).children[2];
  Claim claim = claim_of(job);
  claim.job = job.id;
  return claim;
}

Ending run_thumbs(const Claim& claim, const Result<Job>& earlier) {
  const Kinds kinds = pipeline_kinds([&earlier](Uuid) { return earlier; });
  InlineAttempt attempt(claim);
  return kinds.find(kStepKind)->run(attempt);
}

TEST(Plan, APipelineIsOneJobWithTheSourceInItsArgs) {
  const NewJob job = planned();
  EXPECT_EQ(job.kind, "pipeline");
  EXPECT_EQ(job.name, "talk");
  EXPECT_EQ(job.queue, "night");
  EXPECT_EQ(job.args["steps"].size(), 3u);
  EXPECT_EQ(job.args["steps"][0]["args"]["input"], "file:/talk.mov");
}

TEST(Plan, StepsStandBehindWhatTheyNeed) {
  const NewJob job = planned();
  EXPECT_EQ(job.args["steps"][0]["name"], "ladder");
  EXPECT_EQ(job.args["steps"][1]["name"], "captions");
  EXPECT_EQ(job.args["steps"][2]["name"], "thumbs");
}

TEST(Plan, ASourceThatIsUsedMustBeGiven) {
  const auto job = plan_pipeline(document(), "", {});
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().message, "the step \"ladder\" takes $source, and no source was given");
}

TEST(Plan, ItsArgsFitItsOwnSchema) {
  Kinds kinds;
  for (const char* name : {"transcode", "thumbnails", "captions"}) {
    Kind kind;
    kind.name = name;
    kind.run = [](Attempt&) -> Ending { return Succeeded{}; };
    kinds.add(std::move(kind));
  }
  Kinds with_pipeline = kinds;
  with_pipeline.add(pipeline_kind());
  const auto checked = with_pipeline.check(planned());
  EXPECT_TRUE(checked) << checked.error().message;
}

TEST(Plan, ThePipelineFansOutIntoItsSteps) {
  InlineAttempt attempt(claim_of(planned()));
  const Ending ending = pipeline_kind().run(attempt);
  const auto* out = std::get_if<FanOut>(&ending);
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(out->next_phase, "done");
  ASSERT_EQ(out->children.size(), 3u);
  const NewJob& ladder = out->children[0];
  EXPECT_EQ(ladder.kind, "transcode");
  EXPECT_FALSE(ladder.optional);
  const NewJob& captions = out->children[1];
  EXPECT_TRUE(captions.optional);
  const NewJob& thumbs = out->children[2];
  EXPECT_EQ(thumbs.kind, "pipeline.step");
  EXPECT_EQ(thumbs.name, "thumbs");
  EXPECT_EQ(thumbs.args["kind"], "thumbnails");
  ASSERT_EQ(thumbs.needs.size(), 2u);
  EXPECT_EQ(thumbs.needs[0].job, captions.id);
  EXPECT_TRUE(thumbs.needs[0].ignore_failure);
  EXPECT_EQ(thumbs.needs[1].job, ladder.id);
  EXPECT_FALSE(thumbs.needs[1].ignore_failure);
}

TEST(Plan, OperatorsCommandsAreForPipelinesAndForNoOtherFanOut) {
  Kinds kinds;
  Kind exec;
  exec.name = "exec";
  exec.never_fanned_out = true;
  exec.run = [](Attempt&) -> Ending { return Succeeded{}; };
  kinds.add(std::move(exec));
  add_pipeline_kinds(kinds, [](Uuid) { return fail(Code::kNotFound, "none"); }, {});
  NewJob child;
  child.kind = "exec";
  const FanOut out{{child}, "done", false};
  const auto checked = kinds.check(*kinds.find(kPipelineKind), 1, out);
  EXPECT_TRUE(checked) << checked.error().message;
  Kind sandboxed = *kinds.find(kPipelineKind);
  sandboxed.placement = Placement::kProcess;
  EXPECT_EQ(kinds.check(sandboxed, 1, out).error().code, Code::kPermissionDenied);
}

TEST(Plan, TheSamePipelineHasTheSameChildrenAgain) {
  InlineAttempt first(claim_of(planned()));
  InlineAttempt second(claim_of(planned()));
  const Ending a = pipeline_kind().run(first);
  const Ending b = pipeline_kind().run(second);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(std::get<FanOut>(a).children[i].id, std::get<FanOut>(b).children[i].id);
}

TEST(Plan, TheResultNamesWhatEachStepGave) {
  Claim claim = claim_of(planned());
  claim.phase = "done";
  ChildResult ladder;
  ladder.name = "ladder";
  ladder.result = {
      {"outputs", {{"mp4", "film.mp4"}, {"log", "object:elsewhere"}}}, {"output", "mp4"}, {"frames", 9}};
  ChildResult captions;
  captions.name = "captions";
  captions.state = State::kFailed;
  claim.children = {ladder, captions};
  InlineAttempt attempt(claim);
  const Ending ending = pipeline_kind().run(attempt);
  const Json& steps = std::get<Succeeded>(ending).result["steps"];
  EXPECT_EQ(steps["ladder"]["state"], "succeeded");
  EXPECT_EQ(steps["ladder"]["outputs"]["mp4"], "object:won/film.mp4");
  EXPECT_EQ(steps["ladder"]["outputs"]["log"], "object:elsewhere");
  EXPECT_EQ(steps["captions"]["state"], "failed");
}

TEST(Step, TakesWhatTheEarlierStepGave) {
  const Claim claim = claim_of_thumbs();
  Job ladder;
  ladder.root = claim.root;
  ladder.result = {{"outputs", {{"mp4", "film.mp4"}}}};
  const Ending ending = run_thumbs(claim, ladder);
  ASSERT_TRUE(std::holds_alternative<FanOut>(ending));
  const NewJob& job = std::get<FanOut>(ending).children.at(0);
  EXPECT_EQ(job.kind, "thumbnails");
  EXPECT_EQ(job.name, "thumbs");
  EXPECT_EQ(job.args["input"], "object:won/film.mp4");
}

TEST(Step, FailsInWordsWhenTheOutputIsMissing) {
  const Claim claim = claim_of_thumbs();
  Job ladder;
  ladder.root = claim.root;
  ladder.result = {{"outputs", {{"hls", "film.m3u8"}}}};
  const Ending ending = run_thumbs(claim, ladder);
  ASSERT_TRUE(std::holds_alternative<Failed>(ending));
  EXPECT_EQ(std::get<Failed>(ending).error.message,
            "the step \"ladder\" gave no output \"mp4\"; it gave hls");
}

TEST(Step, DoesNotReadTheJobsOfOthers) {
  Job foreign;
  foreign.result = {{"outputs", {{"mp4", "film.mp4"}}}};
  const Ending ending = run_thumbs(claim_of_thumbs(), foreign);
  ASSERT_TRUE(std::holds_alternative<Failed>(ending));
  EXPECT_NE(std::get<Failed>(ending).error.message.find("belongs to another pipeline"), std::string::npos);
}

TEST(Step, TriesAgainWhenTheStoreIsBusy) {
  const Ending ending = run_thumbs(claim_of_thumbs(), fail(Code::kUnavailable, "busy"));
  EXPECT_TRUE(std::holds_alternative<RetryLater>(ending));
}

TEST(Step, GivesWhatItsJobGave) {
  Claim claim = claim_of_thumbs();
  claim.phase = "done";
  ChildResult child;
  child.result = {{"outputs", {{"sprite", "s.jpg"}}}, {"output", "sprite"}};
  claim.children = {child};
  const Ending ending = run_thumbs(claim, fail(Code::kNotFound, "not read"));
  const Json& result = std::get<Succeeded>(ending).result;
  EXPECT_EQ(result["outputs"]["sprite"], "object:won/s.jpg");
  EXPECT_EQ(*output_of(result, "", "thumbs"), "object:won/s.jpg");
}

TEST(Sandbox, IsNeededByAJobThatRunsInOneAndByAPipelineWithSuchAStep) {
  Kinds kinds;
  const auto add = [&](const char* name, Placement placement) {
    Kind kind;
    kind.name = name;
    kind.placement = placement;
    kind.run = [](Attempt&) -> Ending { return Succeeded{}; };
    kinds.add(std::move(kind));
  };
  add("probe", Placement::kProcess);
  add("exec", Placement::kInline);
  const auto needs = [&](std::vector<std::string> steps) {
    NewJob job;
    job.kind = steps.front();
    if (steps.size() == 1) return needs_sandbox(job, kinds);
    job.kind = kPipelineKind;
    job.args["steps"] = Json::array();
    for (const std::string& step : steps) job.args["steps"].push_back({{"name", step}, {"kind", step}});
    return needs_sandbox(job, kinds);
  };
  EXPECT_TRUE(needs({"probe"}));
  EXPECT_FALSE(needs({"exec"}));
  EXPECT_FALSE(needs({"of another program"}));
  EXPECT_TRUE(needs({"exec", "probe"}));
  EXPECT_FALSE(needs({"exec", "exec"}));
}

TEST(Outputs, AreFoundByNameOrAsTheMainOne) {
  const Json result = {{"outputs", {{"mp4", "a.mp4"}, {"hls", "b.m3u8"}}}, {"output", "hls"}};
  EXPECT_EQ(*output_of(result, "mp4", "ladder"), "a.mp4");
  EXPECT_EQ(*output_of(result, "", "ladder"), "b.m3u8");
  EXPECT_EQ(*output_of({{"outputs", {{"only", "x"}}}}, "", "ladder"), "x");
}

TEST(Outputs, AMissingOneIsNamedWithThoseThatThereAre) {
  const Json result = {{"outputs", {{"mp4", "a.mp4"}, {"hls", "b.m3u8"}}}};
  EXPECT_EQ(output_of(result, "webm", "ladder").error().message,
            "the step \"ladder\" gave no output \"webm\"; it gave hls, mp4");
  EXPECT_EQ(output_of(result, "", "ladder").error().message,
            "the step \"ladder\" gave several outputs; name one of hls, mp4");
  EXPECT_EQ(output_of({{"frames", 3}}, "mp4", "probe").error().message, "the step \"probe\" gave no outputs");
}

}  // namespace
}  // namespace spool::pipeline
