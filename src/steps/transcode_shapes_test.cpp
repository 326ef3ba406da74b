#include "steps/transcode_shapes.h"

#include <gtest/gtest.h>

#include "queue/job.h"

namespace spool::steps {
namespace {

MadeRendition made() {
  MadeRendition m{"720p", "avc1.64001f", 4, {}, false, 0, 0};
  m.segments.push_back({0, 360000, 1000, {{100, 400, 0, 180000}, {500, 500, 180000, 180000}}});
  m.segments.push_back({360000, 360000, 900, {{0, 900, 360000, 360000}}});
  return m;
}

TEST(TranscodeShapes, WhatAChildMadeGoesThereAndBack) {
  const auto back = made_from_json(to_json(made()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), to_json(made()));
}

MadeRendition track(int segments) {
  MadeRendition m{"audio-eng", "mp4a.40.2", 0, {}, true, 48000, 2};
  for (std::int64_t i = 0; i < segments; ++i)
    m.segments.push_back({i * 192'512, 192'512, 65'432 + i % 7, {}});
  return m;
}

TEST(TranscodeShapes, ATrackOfManyHoursFitsIntoAResultAndItsBeginningIntoACheckpoint) {
  const MadeRendition whole = track(12 * 3600 / 4);
  EXPECT_LT(to_text(Json{{"renditions", {to_json(whole)}}}).size(), kMostResultBytes);
  EXPECT_LT(to_text(Json{{"renditions", {to_json(track(2000))}}}).size(), kMostCheckpointBytes);
  const auto back = made_from_json(to_json(whole));
  ASSERT_TRUE(back) << back.error().message;
  ASSERT_EQ(back->segments.size(), whole.segments.size());
  EXPECT_EQ(back->segments.back().pts, whole.segments.back().pts);
  EXPECT_EQ(back->segments.back().bytes, whole.segments.back().bytes);
}

TEST(TranscodeShapes, SegmentsWithAHoleBetweenThemGoThereAndBackToo) {
  MadeRendition holed = track(3);
  holed.segments[2].pts += 5;
  EXPECT_EQ(made_from_json(to_json(holed))->segments[2].pts, holed.segments[2].pts);
}

TEST(TranscodeShapes, ARunOfSegmentsThatMakesNoSenseIsRefused) {
  for (const Json& segments : {Json{0}, Json{0, 5, 0}, Json{0, 0, 5}, Json{-1, 5, 5}, Json{0, 5},
                               Json{0, 5, "x"}, Json{0, std::int64_t{1} << 43, 5}, Json{0.5, 5, 5}}) {
    Json report = to_json(track(3));
    report["segments"] = segments;
    const bool empty_run = segments == Json{0};
    EXPECT_EQ(made_from_json(report).has_value(), empty_run) << segments;
  }
}

TEST(TranscodeShapes, AHostileReportIsRefused) {
  for (const auto& [pointer, value] : std::vector<std::pair<std::string, Json>>{{"/name", "../../etc"},
                                                                                {"/name", ".spool"},
                                                                                {"/name", ""},
                                                                                {"/codecs", "avc1\"\n#EXT"},
                                                                                {"/first", -1},
                                                                                {"/first", 2000000000},
                                                                                {"/segments/0", 3},
                                                                                {"/segments/0/bytes", 0},
                                                                                {"/segments/0/idrs/1/1", 501},
                                                                                {"/codecs", 5},
                                                                                {"/complete", "yes"},
                                                                                {"/segments", nullptr}}) {
    Json report = to_json(made());
    report[Json::json_pointer(pointer)] = value;
    const bool null_list = pointer == "/segments";  // an empty list is no lie
    EXPECT_EQ(made_from_json(report).has_value(), null_list) << pointer << " = " << value;
  }
  EXPECT_FALSE(made_from_json(Json::array()));
  EXPECT_FALSE(all_made_from_json(Json::array()));
  EXPECT_FALSE(all_made_from_json({{"renditions", {1}}}));
}

TEST(TranscodeShapes, DamageGoesThereAndBackInSecondsAndWhatMakesNoSenseIsLeftOut) {
  const Json told = to_json(in_seconds({{90000, 180000, 25}, {270000, 273600, 1}}, 90000));
  EXPECT_EQ(told, Json::parse(
                      R"([{"from": 1.0, "to": 2.0, "frames": 25}, {"from": 3.0, "to": 3.04, "frames": 1}])"));
  EXPECT_EQ(to_json(damage_from_json({{"damage", told}})), told);
  EXPECT_EQ(to_json(std::vector<DamagedStretch>{{0.5, 1.25, 0}}),
            Json::parse(R"([{"from": 0.5, "to": 1.25}])"));
  for (const char* hostile :
       {R"({})", R"([])", R"({"damage": 5})", R"({"damage": [1, null, {}, []]})",
        R"({"damage": [{"from": 2, "to": 1}, {"from": -1, "to": 1}, {"from": "a", "to": 1}]})",
        R"({"damage": [{"from": 1, "to": 1e300}, {"from": 1, "to": 2, "frames": 1e300}]})"})
    EXPECT_TRUE(damage_from_json(Json::parse(hostile)).empty()) << hostile;
  Json many = Json::array();
  for (int i = 0; i < 100'000; ++i) many.push_back({{"from", i}, {"to", i + 1}});
  EXPECT_LE(damage_from_json({{"damage", many}}).size(), 1000U);
}

TEST(TranscodeShapes, APlanGoesThereAndBack) {
  TranscodePlan plan;
  plan.renditions.resize(2);
  plan.renditions[0].name = "720p";
  plan.renditions[0].frame_rate = {30000, 1001};
  plan.renditions[1].name = "audio-eng";
  plan.renditions[1].kind = media::Rendition::Kind::kAudio;
  plan.renditions[1].channels = 2;
  plan.segments = 32;
  const auto back = plan_from_json(to_json(plan));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), to_json(plan));
  EXPECT_FALSE(plan_from_json(Json::object()));
  Json bad = to_json(plan);
  bad["renditions"][0]["name"] = "../x";
  EXPECT_FALSE(plan_from_json(bad));
  bad = to_json(plan);
  bad["renditions"][0]["timescale"] = 5e31;
  EXPECT_FALSE(plan_from_json(bad));
}

}  // namespace
}  // namespace spool::steps
