#include "steps/purged_objects.h"

#include <gtest/gtest.h>

#include "base/temporary_folder.h"
#include "objects/folder_store.h"

namespace spool::steps {
namespace {

class PurgedObjects : public testing::Test {
 protected:
  void put(const std::string& key) { ASSERT_TRUE(objects->put(key, {})); }
  std::vector<std::string> left() {
    std::vector<std::string> keys;
    for (const char* prefix : {".spool/attempts", "jobs", "chosen"}) {
      const auto objects_there = objects->list(prefix).value();
      for (const ObjectInfo& object : objects_there) keys.push_back(object.key);
    }
    return keys;
  }

  TemporaryFolder folder;
  std::unique_ptr<FolderStore> objects = FolderStore::at(folder.path()).value();
  const Uuid root = Uuid::v7(), step = Uuid::v7();
  const std::string of_root = "jobs/" + root.text(), of_step = of_root + "/step";
  const std::string attempts = ".spool/attempts/" + step.text();
};

TEST_F(PurgedObjects, OfAPrunedJobTheAttemptsGoAndWhatItPublishedStays) {
  put(attempts + "/token/a");
  put(of_step + "/a");
  ASSERT_TRUE(remove_objects_of({step, root, "step", false}, *objects));
  EXPECT_EQ(left(), (std::vector<std::string>{of_step + "/a"}));
  EXPECT_TRUE(remove_objects_of({step, root, "step", false}, *objects)) << "and again";
}

TEST_F(PurgedObjects, OfARemovedStepItsFolderGoesAndItsSiblingsStay) {
  put(attempts + "/token/a");
  put(of_step + "/a");
  put(of_root + "/other/a");
  put("chosen/a");
  ASSERT_TRUE(remove_objects_of({step, root, "step", true}, *objects));
  EXPECT_EQ(left(), (std::vector<std::string>{of_root + "/other/a", "chosen/a"}));
}

TEST_F(PurgedObjects, OfARemovedRootTheFolderOfItsTreeGoes) {
  put(of_step + "/a");
  put("jobs/" + Uuid::v7().text() + "/a");
  ASSERT_TRUE(remove_objects_of({root, root, "film", true}, *objects));
  EXPECT_EQ(left().size(), 1u);
}

TEST_F(PurgedObjects, AChildWithoutANameOrWithOneThatIsNoKeyTakesNothingAlong) {
  put(of_step + "/a");
  EXPECT_TRUE(remove_objects_of({step, root, "", true}, *objects));
  EXPECT_TRUE(remove_objects_of({step, root, "../../chosen", true}, *objects));
  EXPECT_EQ(left(), (std::vector<std::string>{of_step + "/a"}));
}

}  // namespace
}  // namespace spool::steps
