#include "steps/transcode_shapes.h"

#include <gtest/gtest.h>

namespace spool::steps {
namespace {

MadeRendition made() {
  MadeRendition m{"720p", "avc1.64001f", {}};
  m.segments.push_back({4, 1000, 0, 360000, {{100, 400, 0, 180000}, {500, 500, 180000, 180000}}});
  m.segments.push_back({5, 900, 360000, 360000, {{0, 900, 360000, 360000}}});
  return m;
}

TEST(TranscodeShapes, WhatAChildMadeGoesThereAndBack) {
  const auto back = made_from_json(to_json(made()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), to_json(made()));
}

TEST(TranscodeShapes, AHostileReportIsRefused) {
  for (const auto& [pointer, value] : std::vector<std::pair<std::string, Json>>{{"/name", "../../etc"},
                                                                                {"/name", ".spool"},
                                                                                {"/name", ""},
                                                                                {"/segments/0/0", -1},
                                                                                {"/segments/1/0", 7},
                                                                                {"/segments/0/1", 0},
                                                                                {"/segments/0/3", 0},
                                                                                {"/segments/0/4/1/1", 501},
                                                                                {"/segments/0/4/1/0", 300},
                                                                                {"/segments/0", 3},
                                                                                {"/segments/0/4/0/0", "zero"},
                                                                                {"/codec", 5}}) {
    Json report = to_json(made());
    report[Json::json_pointer(pointer)] = value;
    EXPECT_FALSE(made_from_json(report)) << pointer << " = " << value;
  }
  EXPECT_FALSE(made_from_json(Json::array()));
}

TEST(TranscodeShapes, APlanGoesThereAndBack) {
  TranscodePlan plan;
  plan.video.push_back({"720p", "und", "", true, 1280, 720, 25, 1, 5000000, 0, 90000});
  plan.audio.push_back({"audio-eng", "en", "Commentary", true, 0, 0, 0, 1, 128000, 2, 48000});
  plan.segments = 32;
  const auto back = plan_from_json(to_json(plan));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), to_json(plan));
  EXPECT_FALSE(plan_from_json(Json::object()));
}

TEST(TranscodeShapes, SegmentNamesSortAsTheyPlay) {
  EXPECT_EQ(segment_name("720p", 7), "720p/seg-00007.m4s");
  EXPECT_LT(segment_name("720p", 99), segment_name("720p", 100));
}

}  // namespace
}  // namespace spool::steps
