// A ladder out of objects that are no local files is the one that comes out of a folder, byte for byte,
// whatever fails on the way.
#include <gtest/gtest.h>

#include <map>

#include "base/temporary_folder.h"
#include "engine.h"
#include "parts.h"
#include "store_sqlite/sqlite_store.h"
#include "support/program.h"
#include "support/remote_like_store.h"

namespace spool::test {
namespace {

using namespace std::chrono_literals;

constexpr char kFilm[] = "films/film.mp4";

// Ten seconds with sound, in a few MB.
std::filesystem::path film() {
  static const TemporaryFolder folder;
  return make_media(
      folder.path() / "film.mp4",
      "-f lavfi -i testsrc2=s=640x360:r=25:d=10 -f lavfi -i sine=440:d=10:r=48000 "
      "-vf noise=alls=40:allf=t -c:v libx264 -preset ultrafast -b:v 4M -g 50 -pix_fmt yuv420p -c:a aac");
}

struct Transcoded {
  std::vector<Job> tree;                     // the root first
  std::map<std::string, std::string> files;  // that were published
};

class RemoteTranscode : public testing::Test {
 protected:
  std::filesystem::path place(const std::string& name) {
    std::filesystem::create_directories(folder_.path() / name / "films");
    std::filesystem::copy_file(film(), folder_.path() / name / kFilm);
    return folder_.path() / name;
  }

  Transcoded transcode(ObjectStore& objects, Json more = Json::object()) {
    const auto store = open_sqlite_store(folder_.path() / (Uuid::v7().text() + ".db")).value();
    EngineOptions options;
    options.worker.slots = 2;
    options.worker.poll = 10ms;
    options.worker.lease = 1h;  // the store's clock is shifted below
    Engine engine(*store, objects, steps::make_kinds({{&objects}, {}}), std::move(options));
    NewJob job;
    job.kind = "transcode";
    job.args = {{"input", std::string("object:") + kFilm},
                {"ladder", ladders_of({}).named("mobile").value()},
                {"destination", "out"}};
    job.args.update(more);
    const Uuid id = store->insert({&job, 1}).value()[0].value().id;
    JobFilter tree;
    tree.root = id;
    EXPECT_TRUE(engine.worker().run([&] {
      const std::vector<Job> jobs = store->list(tree).value();
      for (const Job& one : jobs)
        if (one.state == State::kScheduled) store->shift_clock_for_tests(2s);  // no waiting for back-offs
      return ended(jobs.front().state);
    }));
    Transcoded done{store->list(tree).value(), {}};
    const auto published = objects.list("out").value();
    for (const ObjectInfo& object : published)
      if (object.key.find("growing") == std::string::npos)
        done.files[object.key] = objects.get(object.key, 64 << 20).value();
    EXPECT_EQ(objects.list(".spool/attempts").value().size(), 0u);
    return done;
  }

  const Transcoded& from_folder() {
    static const Transcoded done = [this] { return transcode(*FolderStore::at(place("folder")).value()); }();
    EXPECT_EQ(done.tree.front().state, State::kSucceeded);
    EXPECT_GT(done.files.size(), 15u);
    return done;
  }

  static void expect_the_same(const Transcoded& remote, const Transcoded& folder) {
    ASSERT_EQ(remote.tree.front().state, State::kSucceeded) << errors_of(remote);
    std::vector<std::string> here, there;
    for (const auto& [key, bytes] : remote.files) here.push_back(key);
    for (const auto& [key, bytes] : folder.files) there.push_back(key);
    EXPECT_EQ(here, there);
    for (const auto& [key, bytes] : remote.files)
      EXPECT_TRUE(folder.files.contains(key) && folder.files.at(key) == bytes) << key << " differs";
  }

  static std::string errors_of(const Transcoded& done) {
    std::string all;
    for (const Job& job : done.tree)
      for (const AttemptError& error : job.errors) all += job.name + ": " + error.error.message + "\n";
    return all;
  }

  TemporaryFolder folder_;
};

TEST_F(RemoteTranscode, GivesByteForByteWhatAFolderGives) {
  RemoteLikeStore remote(place("remote"));
  expect_the_same(transcode(remote), from_folder());
  EXPECT_GT(remote.reads, 3);
}

TEST_F(RemoteTranscode, ReadsThatFailInTheMiddleAreTriedAgainAndNothingOfThemIsSeen) {
  RemoteLikeStore remote(place("remote"));
  std::atomic<int> count = 0;
  remote.before_read = [&](const std::string& key, std::uint64_t) -> std::optional<Error> {
    if (key != kFilm || ++count % 3 != 0 || count > 30) return std::nullopt;
    return Error{Code::kUnavailable, "object films/film.mp4: the service is away", 0};
  };
  const Transcoded done = transcode(remote);
  expect_the_same(done, from_folder());
  EXPECT_NE(errors_of(done).find("the service is away"), std::string::npos);
  for (const Job& job : done.tree)
    for (const AttemptError& error : job.errors) EXPECT_EQ(error.error.code, Code::kUnavailable);
}

TEST_F(RemoteTranscode, UploadsThatFailAreTriedAgain) {
  RemoteLikeStore remote(place("remote"));
  std::atomic<int> count = 0;
  remote.before_write = [&](const std::string& key) -> std::optional<Error> {
    if (++count % 11 != 0 || count > 40) return std::nullopt;
    return Error{Code::kUnavailable, "object " + key + ": the service is away", 0};
  };
  expect_the_same(transcode(remote), from_folder());
  EXPECT_GT(count, 11);
}

TEST_F(RemoteTranscode, AFilmThatIsReplacedMeanwhileIsAnErrorInWords) {
  RemoteLikeStore remote(place("remote"));
  remote.before_read = [&](const std::string&, std::uint64_t) -> std::optional<Error> {
    return Error{Code::kConflict, "object films/film.mp4: was replaced", 0};
  };
  const Transcoded done = transcode(remote);
  EXPECT_EQ(done.tree.front().state, State::kFailed);
  EXPECT_NE(errors_of(done).find("was replaced"), std::string::npos);
}

TEST_F(RemoteTranscode, AnObjectThatIsNotThereIsNamed) {
  RemoteLikeStore remote(place("remote"));
  const Transcoded done = transcode(remote, {{"input", "object:films/other.mp4"}});
  EXPECT_EQ(done.tree.front().state, State::kFailed);
  EXPECT_EQ(errors_of(done).find("films/other.mp4") == std::string::npos, false) << errors_of(done);
}

TEST_F(RemoteTranscode, ProgressiveFilesAreMadeOfWhatIsPublished) {
  const Json mp4 = {{"mp4", true}};
  RemoteLikeStore remote(place("remote"));
  const auto folder = FolderStore::at(place("other")).value();
  expect_the_same(transcode(remote, mp4), transcode(*folder, mp4));
}

}  // namespace
}  // namespace spool::test
