#include "steps/presentation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/temporary_folder.h"
#include "objects/folder_store.h"
#include "steps/attempt_files.h"
#include "steps/transcode.h"
#include "support/remote_like_store.h"

namespace spool::steps {
namespace {

using media::Rendition;

Rendition rendition(Rendition::Kind kind, std::string name) {
  Rendition r;
  r.kind = kind;
  r.name = std::move(name);
  r.width = 426;
  r.height = 240;
  return r;
}

// Two segments of two seconds; one video, one text track.
TranscodePlan small_plan() {
  TranscodePlan plan;
  plan.renditions = {rendition(Rendition::Kind::kVideo, "240p"),
                     rendition(Rendition::Kind::kSubtitles, "subtitles-eng")};
  plan.segments = 2;
  plan.seconds = 4;
  plan.target_seconds = 2;
  return plan;
}

MadeRendition two_segments(const std::string& name, const std::string& codecs) {
  MadeRendition made;
  made.name = name;
  made.codecs = codecs;
  for (const std::int64_t i : {0, 1}) made.segments.push_back({i * 180000, 180000, 5, {}});
  made.complete = true;
  return made;
}

class PresentationTest : public testing::Test {
 protected:
  void put(const std::string& key, const std::string& text = "bytes") {
    ASSERT_TRUE(objects_->put(key, std::as_bytes(std::span(text))));
  }
  void put_video(const std::string& prefix) {
    for (const char* name : {"init.mp4", "00001.m4s", "00002.m4s"})
      put(fmt::format("{}/240p/{}", prefix, name));
  }
  void put_text(const std::string& prefix) {
    for (const char* name : {"all.vtt", "00001.vtt", "00002.vtt"})
      put(fmt::format("{}/subtitles-eng/{}", prefix, name));
  }
  [[nodiscard]] bool is_there(const std::string& key) { return objects_->stat(key)->has_value(); }
  [[nodiscard]] std::string text(const std::string& key) {
    const auto got = objects_->get(key, 1 << 20);
    return got ? *got : got.error().message;
  }

  TemporaryFolder folder_;
  std::unique_ptr<FolderStore> objects_ = *FolderStore::at(folder_.path() / "objects");
};

TEST_F(PresentationTest, TheMasterIsNotWrittenBeforeTheTextTrackThatItNamesIsThere) {
  Presentation presentation(*objects_, "out", small_plan());
  put_video("made");
  ASSERT_TRUE(presentation.add("made", {two_segments("240p", "avc1.64000d")}));
  ASSERT_TRUE(presentation.write_growing());
  EXPECT_TRUE(is_there("out/240p/playlist.m3u8"));
  EXPECT_FALSE(is_there("out/master.m3u8"));
  EXPECT_NE(text("out/early.m3u8").find("\n240p/playlist.m3u8\n"), std::string::npos);
  EXPECT_EQ(text("out/early.m3u8").find("subtitles"), std::string::npos);

  put_text("made");
  ASSERT_TRUE(presentation.add("made", {two_segments("subtitles-eng", "")}));
  ASSERT_TRUE(presentation.write_growing());
  EXPECT_NE(text("out/master.m3u8").find("URI=\"subtitles-eng/playlist.m3u8\""), std::string::npos);
  EXPECT_NE(text("out/subtitles-eng/playlist.m3u8").find("00002.vtt\n#EXT-X-ENDLIST"), std::string::npos);
  EXPECT_EQ(text("out/240p/playlist.m3u8").find("ENDLIST"), std::string::npos);
  EXPECT_TRUE(is_there("out/subtitles-eng/all.vtt"));
  ASSERT_TRUE(presentation.write_final());
  EXPECT_FALSE(is_there("out/early.m3u8")) << "the master is there";
}

TEST_F(PresentationTest, ATextTrackWithoutItsWholeFileIsRefused) {
  Presentation presentation(*objects_, "out", small_plan());
  put_text("made");
  ASSERT_TRUE(objects_->remove("made/subtitles-eng/all.vtt"));
  const auto added = presentation.add("made", {two_segments("subtitles-eng", "")});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Code::kNotFound);
}

TEST_F(PresentationTest, OnlyTextTracksOfThePlanCanStandThereEmpty) {
  Presentation presentation(*objects_, "out", small_plan());
  EXPECT_FALSE(presentation.add_empty_subtitles("240p", {0, 2}));
  EXPECT_FALSE(presentation.add_empty_subtitles("subtitles-fra", {0, 2}));
}

// An inline attempt of the last phase.
class AssemblingAttempt : public Attempt {
 public:
  explicit AssemblingAttempt(Claim claim) : claim_(std::move(claim)) {}
  const Claim& claim() const override { return claim_; }
  std::stop_token stop_token() const override { return {}; }
  void progress(double, Json) override {}
  Result<void> checkpoint(Json) override { return {}; }
  void log(std::string_view) override {}
  Result<ByteSource> open_input(std::string_view) override { return fail(Code::kInternal, "not here"); }
  Result<void> put_output(std::string_view, std::span<const std::byte>) override { return {}; }
  Result<UniqueFd> create_output(std::string_view) override { return fail(Code::kInternal, "not here"); }
  Result<void> commit_output(std::string_view, UniqueFd) override { return {}; }

 private:
  Claim claim_;
};

TEST_F(PresentationTest, ATextTrackWhoseJobFailedStandsThereEmptyAndIsTold) {
  Claim claim;
  claim.phase = "assemble";
  claim.args = {{"destination", "out"}};
  claim.checkpoint = to_json(small_plan());
  ChildResult video{Uuid::v7(), "transcode.chunk", "chunk-00000", State::kSucceeded, Token::random(), {}, {}};
  video.result = {{"renditions", {to_json(two_segments("240p", "avc1.64000d"))}}};
  put_video(attempt_prefix(video.id, *video.token));
  ChildResult broken{Uuid::v7(), "transcode.subtitles", "subtitles-eng", State::kFailed, {}, {}, {}};
  broken.args = {{"borders", {0, 2}}};
  claim.children = {video, broken};
  AssemblingAttempt attempt(claim);
  const PublishContext context{objects_.get()};

  const Ending ending = assemble_transcode(attempt, context);
  const auto* done = std::get_if<Succeeded>(&ending);
  ASSERT_NE(done, nullptr) << std::get<Failed>(ending).error.message;
  EXPECT_EQ(done->result["notes"][0],
            "subtitles-eng is empty: it could not be made, see job " + broken.id.text());
  EXPECT_EQ(text("out/subtitles-eng/00002.vtt"), "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n");
  EXPECT_NE(text("out/master.m3u8").find("SUBTITLES=\"subtitles\""), std::string::npos);
}

// Where the store has no locks.
class WithoutLocks : public PresentationTest {
 protected:
  [[nodiscard]] static MadeRendition begun(const std::string& name, const std::string& codecs) {
    MadeRendition made = two_segments(name, codecs);
    made.segments.pop_back();
    made.complete = false;
    return made;
  }
  void SetUp() override {
    put_video("made");
    put_text("made");
  }
  void grow(Presentation& presentation) {
    ASSERT_TRUE(presentation.add("made", {begun("240p", "avc1.64000d"), two_segments("subtitles-eng", "")}));
    ASSERT_TRUE(presentation.write_growing());
  }
  void finish(Presentation& presentation) {
    ASSERT_TRUE(
        presentation.add("made", {two_segments("240p", "avc1.64000d"), two_segments("subtitles-eng", "")}));
    ASSERT_TRUE(presentation.write_final());
  }
  test::RemoteLikeStore remote_{folder_.path() / "objects"};
};

TEST_F(WithoutLocks, PlaylistsGrowBesideTheFinalOnes) {
  Presentation presentation(remote_, "out", small_plan());
  grow(presentation);
  EXPECT_FALSE(is_there("out/master.m3u8"));
  EXPECT_FALSE(is_there("out/240p/playlist.m3u8"));
  EXPECT_NE(text("out/growing.m3u8").find("\n240p/growing.m3u8\n"), std::string::npos);
  EXPECT_NE(text("out/growing.m3u8").find("URI=\"240p/growing-iframes.m3u8\""), std::string::npos);
  EXPECT_EQ(text("out/240p/growing.m3u8").find("ENDLIST"), std::string::npos);
  EXPECT_EQ(presentation.playable()["master"], "out/growing.m3u8");
}

TEST_F(WithoutLocks, WhoBeganEarlySeesTheEnd) {
  Presentation presentation(remote_, "out", small_plan());
  grow(presentation);
  finish(presentation);
  EXPECT_EQ(text("out/240p/growing.m3u8"), text("out/240p/playlist.m3u8"));
  EXPECT_NE(text("out/240p/growing.m3u8").find("ENDLIST"), std::string::npos);
}

TEST_F(WithoutLocks, WhatNobodyBeganToWatchIsNotThere) {
  Presentation presentation(remote_, "out", small_plan());
  finish(presentation);
  EXPECT_TRUE(is_there("out/master.m3u8"));
  for (const char* name : {"out/growing.m3u8", "out/240p/growing.m3u8", "out/240p/growing-iframes.m3u8"})
    EXPECT_FALSE(is_there(name)) << name;
}

// It stops before a write of its own, at each in turn, and goes on when all is done.
TEST_F(WithoutLocks, AWorkerThatIsLateWritesOverNothingThatIsFinal) {
  std::map<std::string, std::string> finals;
  {
    Presentation whole(*objects_, "alone", small_plan());
    finish(whole);
  }
  for (const char* name : {"master.m3u8", "manifest.mpd", "240p/playlist.m3u8", "240p/iframes.m3u8",
                           "subtitles-eng/playlist.m3u8"})
    finals[name] = text(std::string("alone/") + name);
  int writes = 0;
  remote_.before_write = [&](const std::string&) { return ++writes, std::nullopt; };
  {
    Presentation counted(remote_, "counted", small_plan());
    grow(counted);
  }
  for (int stop_before = 1, all = writes; stop_before <= all; ++stop_before) {
    const std::string out = fmt::format("out-{}", stop_before);
    remote_.before_write = [&, left = stop_before](const std::string&) mutable -> std::optional<Error> {
      if (--left == 0) {
        test::RemoteLikeStore other(folder_.path() / "objects");
        Presentation assembled(other, out, small_plan());
        finish(assembled);
      }
      return std::nullopt;
    };
    Presentation late(remote_, out, small_plan());
    grow(late);
    for (const auto& [name, final_text] : finals)
      EXPECT_EQ(text(out + "/" + name), final_text) << name << ", write " << stop_before;
  }
}

TEST_F(PresentationTest, BordersThatMakeNoSenseFailTheAssemblyInWords) {
  for (const Json& borders : {Json(), Json::array(), Json{0, 2, 2}, Json{1, 2}, Json{0, "x"}, Json{0, 1e300}})
    EXPECT_FALSE(borders_from_json({{"borders", borders}})) << borders;
  EXPECT_EQ(borders_from_json({{"borders", {0, 2.5}}}), (std::vector<double>{0, 2.5}));
}

TEST_F(PresentationTest, WhatChildrenSayToPeopleIsCleanAndShort) {
  const Json hostile = {{"notes", {"a\x1b[31mb", 5, std::string(2000, 'x')}}};
  const auto notes = notes_from_json(hostile);
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[0], "a [31mb");
  EXPECT_EQ(notes[1].size(), 500u);
  EXPECT_TRUE(notes_from_json(Json()).empty());
}

}  // namespace
}  // namespace spool::steps
