#include "queue/new_job_json.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

TEST(NewJobJson, AJobComesBackAsItWas) {
  NewJob job;
  job.kind = "encode";
  job.args = {{"crf", 23}};
  job.name = "nightly";
  job.owner = "ada";
  job.queue = "night";
  job.priority = -2;
  job.slots = 3;
  job.tags = {"gpu", "big"};
  job.delay = std::chrono::seconds(5);
  job.held = true;
  job.most_attempts = 7;
  job.timeout = std::chrono::minutes(2);
  job.deadline = std::chrono::hours(3);
  job.unique_key = "u";
  job.limit_key = "l";
  job.weight = 2.5;
  job.optional = true;
  job.labels = {{"a", "b"}};
  const Json json = to_json(job);
  const NewJob back = new_job_from_json(json).value();
  EXPECT_EQ(to_json(back), json);
  EXPECT_EQ(back.tags, job.tags);
  EXPECT_EQ(back.deadline, job.deadline);
  EXPECT_EQ(back.limit_key, "l");
}

TEST(NewJobJson, WhatIsMissingHasItsDefault) {
  const NewJob job = new_job_from_json({{"kind", "a"}}).value();
  EXPECT_EQ(job.queue, "default");
  EXPECT_EQ(job.most_attempts, 3);
  EXPECT_EQ(job.timeout, std::nullopt);
  EXPECT_EQ(to_json(job), to_json(new_job_from_json(to_json(job)).value()));
}

TEST(NewJobJson, WhatIsNoJobIsRefused) {
  EXPECT_EQ(new_job_from_json(Json::array()).error().code, Code::kInvalidArgument);
  EXPECT_EQ(new_job_from_json({{"kind", 7}}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace spool
