#include "base/config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/temporary_folder.h"

namespace spool {
namespace {

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    sources_.folder = folder_.path();
    sources_.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  void file(std::string_view text) { std::ofstream(folder_.path() / "spool.toml") << text; }
  std::string wrong() {
    const auto config = load_config(sources_);
    EXPECT_FALSE(config);
    if (config) return {};
    EXPECT_EQ(config.error().code, Code::kInvalidArgument);
    // The folder is another one each time.
    std::string message = config.error().message;
    for (std::size_t at; (at = message.find(folder_.path().string() + "/")) != std::string::npos;)
      message.erase(at, folder_.path().string().size() + 1);
    return message;
  }
  Config right() {
    auto config = load_config(sources_);
    EXPECT_TRUE(config) << config.error().message;
    return config ? *config : Config{};
  }

  TemporaryFolder folder_;
  std::map<std::string, std::string> variables_;
  ConfigSources sources_;
};

TEST_F(ConfigTest, WithoutAFileThereAreDefaults) {
  const Config config = right();
  EXPECT_EQ(config.store, "sqlite:spool-data/spool.db");
  EXPECT_EQ(config.objects, "spool-data/objects");
  EXPECT_EQ(config.slots, 0);
  EXPECT_TRUE(config.file.empty());
}

TEST_F(ConfigTest, AFlagBeatsTheEnvironmentAndThatTheFile) {
  file("store = 'sqlite:/file.db'\nobjects = '/file'\nladders = '/file'\n[worker]\nslots = 1\n");
  variables_ = {{"SPOOL_STORE", "sqlite:/env.db"}, {"SPOOL_OBJECTS", "/env"}};
  sources_.flags = {{"store", "sqlite:/flag.db"}};
  const Config config = right();
  EXPECT_EQ(config.store, "sqlite:/flag.db");
  EXPECT_EQ(config.objects, "/env");
  EXPECT_EQ(config.ladders, "/file");
  EXPECT_EQ(config.slots, 1);
  EXPECT_EQ(config.origins.at("store"), "--store");
  EXPECT_EQ(config.origins.at("objects"), "SPOOL_OBJECTS");
  EXPECT_EQ(config.origins.at("worker.slots"), (folder_.path() / "spool.toml").string() + ":5:9");
}

TEST_F(ConfigTest, PathsInTheFileAreRelativeToIt) {
  file("store = 'sqlite:data/spool.db'\nobjects = '../objects'\nladders = 'ladders'\n");
  const Config config = right();
  EXPECT_EQ(config.store, "sqlite:" + (folder_.path() / "data/spool.db").string());
  EXPECT_EQ(config.objects, (folder_.path().parent_path() / "objects").string());
  EXPECT_EQ(config.ladders, folder_.path() / "ladders");
}

TEST_F(ConfigTest, CommandsAreRead) {
  file("[commands.loud]\ncommand = ['/bin/loud', '-x']\ntimeout = '1m30s'\nenvironment = {LEVEL = '3'}\n");
  const CommandConfig command = right().commands.at("loud");
  EXPECT_EQ(command.command, (std::vector<std::string>{"/bin/loud", "-x"}));
  EXPECT_EQ(command.timeout, std::chrono::seconds(90));
  EXPECT_EQ(command.environment.at("LEVEL"), "3");
}

TEST_F(ConfigTest, ListsComeFromVariablesWithCommas) {
  variables_ = {{"SPOOL_QUEUES", "a,b,,c"}, {"SPOOL_UNSAFE_NO_SANDBOX", "1"}};
  EXPECT_EQ(right().queues, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(right().unsafe_no_sandbox);
}

TEST_F(ConfigTest, WhetherJobsMayReadLocalFilesIsSaidOrLeftToTheStore) {
  EXPECT_EQ(right().local_files, std::nullopt);
  file("[worker]\nlocal_files = false\n");
  EXPECT_EQ(right().local_files, false);
  variables_ = {{"SPOOL_LOCAL_FILES", "1"}};
  EXPECT_EQ(right().local_files, true);
}

TEST_F(ConfigTest, UnknownKeysAreRefusedWithTheirPlace) {
  file("store = 'sqlite:a'\n[worker]\n  slotz = 3\n");
  EXPECT_TRUE(wrong().starts_with("spool.toml:3:3: worker: unknown key 'slotz' (did you mean 'slots'?)"))
      << wrong();
}

TEST_F(ConfigTest, AnUnknownTableIsPointedAtInItsHead) {
  file("store = 'sqlite:a'\n[workers]\nslots = 2\n");
  EXPECT_TRUE(wrong().starts_with("spool.toml:2:2: unknown key 'workers' (did you mean 'worker'?)"))
      << wrong();
}

TEST_F(ConfigTest, EverythingWrongIsToldAtOnce) {
  file("stor = 'a'\n[worker]\nslots = 'two'\n");
  const std::string message = wrong();
  EXPECT_NE(message.find("spool.toml:1:1: "), std::string::npos) << message;
  EXPECT_NE(message.find("spool.toml:3:9: "), std::string::npos) << message;
}

TEST_F(ConfigTest, BrokenTomlIsPointedAt) {
  file("store = \n");
  EXPECT_TRUE(wrong().starts_with("spool.toml:1:9: not valid TOML: ")) << wrong();
}

TEST_F(ConfigTest, AWrongUnitIsPointedAt) {
  file("[commands.a]\ncommand = ['a']\ntimeout = '10'\n");
  EXPECT_TRUE(wrong().starts_with("spool.toml:3:11: \"10\" is not a duration: the unit is missing"))
      << wrong();
}

TEST_F(ConfigTest, RetentionIsOfAQueueByAgeOrNumber) {
  file("[retention.'*']\nolder_than = '30d'\n[retention.night]\nkeep = 10\nwith_outputs = true\n");
  const Config config = right();
  EXPECT_EQ(config.retention.at("*").older_than, std::chrono::hours(30 * 24));
  EXPECT_FALSE(config.retention.at("*").keep);
  EXPECT_FALSE(config.retention.at("*").with_outputs);
  EXPECT_EQ(config.retention.at("night").keep, 10);
  EXPECT_TRUE(config.retention.at("night").with_outputs);
  file("[retention.night]\nwith_outputs = true\n");
  EXPECT_TRUE(wrong().ends_with("what goes? Say older_than = \"30d\", keep = 1000, or both")) << wrong();
  file("[retention.'']\nkeep = 10\n");
  EXPECT_TRUE(wrong().ends_with("of which queue? [retention.\"*\"] is for all")) << wrong();
  file("[retention.night]\nolder_than = '30'\n");
  EXPECT_TRUE(wrong().starts_with("spool.toml:2:14: \"30\" is not a duration")) << wrong();
  file("[retention.night]\nkeep = -1\n");
  EXPECT_TRUE(wrong().starts_with("spool.toml:2:8: ")) << wrong();
}

TEST_F(ConfigTest, AWrongVariableOrFlagIsNamed) {
  variables_ = {{"SPOOL_SLOTS", "many"}};
  EXPECT_EQ(wrong(), "SPOOL_SLOTS: must be a whole number");
  variables_ = {{"SPOOL_UNSAFE_NO_SANDBOX", "maybe"}};
  EXPECT_EQ(wrong(), "SPOOL_UNSAFE_NO_SANDBOX: must be 1 or 0");
  variables_.clear();
  sources_.flags = {{"worker.slots", "0"}};
  EXPECT_TRUE(wrong().starts_with("--slots: worker.slots: ")) << wrong();
}

TEST_F(ConfigTest, ABucketThatIsWrittenWrongIsNoFolder) {
  const std::string told = "objects: must be a folder, or a bucket as s3://BUCKET";
  for (const char* typo : {"s3:/spool", "s3:spool", "S3:/spool", "s3:", ""}) {
    sources_.flags = {{"objects", typo}};
    EXPECT_EQ(wrong(), "--objects: " + told) << typo;
  }
  for (const char* right_one : {"s3://spool", "./s3:/spool", "s3"}) {
    sources_.flags = {{"objects", right_one}};
    EXPECT_EQ(right().objects, right_one);
  }
  file("objects = 's3:/spool'\n");
  EXPECT_EQ(wrong(), "spool.toml:1:11: " + told);
}

TEST_F(ConfigTest, AFileThatWasAskedForMustExist) {
  sources_.file = folder_.path() / "other.toml";
  const auto config = load_config(sources_);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Code::kNotFound);
  EXPECT_NE(config.error().message.find("other.toml"), std::string::npos);
  sources_.file.reset();
  variables_["SPOOL_CONFIG"] = (folder_.path() / "third.toml").string();
  EXPECT_NE(load_config(sources_).error().message.find("third.toml"), std::string::npos);
}

TEST_F(ConfigTest, ASecretIsNeverPartOfAMessage) {
  EXPECT_EQ(without_secret("postgres://me:geheim@host/db?port=1"), "postgres://me:***@host/db?port=1");
  EXPECT_EQ(without_secret("postgres://me:geheim@host/db?x=a@b"), "postgres://me:***@b") << "rather too much";
  EXPECT_EQ(without_secret("postgres://me@host/db"), "postgres://me@host/db");
  EXPECT_EQ(without_secret("sqlite:a:b@c"), "sqlite:a:b@c");
  EXPECT_EQ(without_secret("postgres://me:ge:he@im@host"), "postgres://me:***@host");
  EXPECT_EQ(without_secret("postgres://me:ge/heim@host/db"), "postgres://me:***@host/db");
  EXPECT_EQ(without_secret("postgres://me:12/heim@host/db"), "postgres://me:***@host/db");
  EXPECT_EQ(without_secret("postgres://me:g@e/he:im@host/db"), "postgres://me:***@host/db");
  EXPECT_EQ(without_secret("postgres://me:g@e?he=im@host/db"), "postgres://me:***@host/db");
  EXPECT_EQ(without_secret("postgres://me@corp:ge/heim@host/db"), "postgres://me@corp:***@host/db");
  EXPECT_EQ(without_secret("s3://AKIA:ge/heim@bucket"), "s3://AKIA:***@bucket");
  EXPECT_EQ(without_secret("postgres://me:ge?heim@host/db"), "postgres://me:***@host/db");
  EXPECT_EQ(without_secret("postgres://me:#geheim@host"), "postgres://me:***@host");
  EXPECT_EQ(without_secret("postgres://host:5432/db?user=a@b"), "postgres://host:5432/db?user=a@b");
  EXPECT_EQ(without_secret("postgres://[::1]/db?user=a@b"), "postgres://[::1]/db?user=a@b");
  EXPECT_EQ(without_secret("postgres://[::1]:5432/db"), "postgres://[::1]:5432/db");
  EXPECT_EQ(without_secret("postgres://host/db?password=geheim&port=1&sslpassword=geheim"),
            "postgres://host/db?password=***&port=1&sslpassword=***");
  EXPECT_EQ(without_secret("postgres://host/db?password=ge#heim"), "postgres://host/db?password=***");
  EXPECT_EQ(without_secret("sqlite:of://me:a@b"), "sqlite:of://me:a@b");
}

TEST_F(ConfigTest, APasswordWhoseHostWasForgottenIsNotShown) {
  EXPECT_EQ(without_secret("postgres://pw:geheim"), "postgres://pw:***");
  EXPECT_EQ(without_secret("postgres://pw:geheim/db?x=y"), "postgres://pw:***");
  EXPECT_EQ(without_secret("postgres://pw:123456/db"), "postgres://pw:***");
  EXPECT_EQ(without_secret("postgres://pw:5ge?heim/db"), "postgres://pw:***");
  EXPECT_EQ(without_secret("postgres://a:1,b,pw:geheim/db"), "postgres://a:1,b,pw:***");
  EXPECT_EQ(without_secret("postgres://[::1]:geheim/db"), "postgres://[::1]:***");
  EXPECT_EQ(without_secret("s3://AKIA:geheim"), "s3://AKIA:***");
  EXPECT_EQ(without_secret("not expected: --stor=postgres://pw:geheim"),
            "not expected: --stor=postgres://pw:***");
  for (const char* shown : {"postgres://host:65535/db?port=1", "postgres://a:1,b,c:/db", "postgres:///a:b",
                            "postgres://[::1]", "postgres://a,[::1]:1,b:2/a:b", "s3://bucket/a:b"})
    EXPECT_EQ(without_secret(shown), shown);
}

TEST_F(ConfigTest, APasswordByAWrongNameIsNotShown) {
  EXPECT_EQ(without_secret("postgres://host/db?PASSWORD=geheim"), "postgres://host/db?PASSWORD=***");
  EXPECT_EQ(without_secret("postgres://host/db?port=1&Passwd=geheim&user=me"),
            "postgres://host/db?port=1&Passwd=***&user=me");
  EXPECT_EQ(without_secret("postgres://host/db?p%61ssword=geheim"), "postgres://host/db?p%61ssword=***");
  EXPECT_EQ(without_secret("postgres://host/db?pwd=geheim"), "postgres://host/db?pwd=***");
  EXPECT_EQ(without_secret("postgres://host/db?password=ge&heim&port=1"),
            "postgres://host/db?password=***&port=1");
  EXPECT_EQ(without_secret("postgres://host/db?x&user=%20"), "postgres://host/db?x&user=%20");
  EXPECT_EQ(without_secret("host=there PASSWORD=geheim"), "host=there password=***");
}

TEST_F(ConfigTest, OfAParameterThatIsNotKnownToBeHarmlessTheValueIsNotShown) {
  EXPECT_EQ(without_secret("postgres://h/db?user=ro&pasword=geheim"), "postgres://h/db?user=ro&pasword=***");
  EXPECT_EQ(without_secret("postgres://h/db?foo=geheim&port=1"), "postgres://h/db?foo=***&port=1");
  EXPECT_EQ(without_secret("postgres://h/db?=geheim&User=geheim"), "postgres://h/db?=***&User=***");
  EXPECT_EQ(without_secret("postgres://h/db?user=ro&user=geheim"), "postgres://h/db?user=ro&user=***");
  EXPECT_EQ(without_secret("postgres://h/db?options=-cmy.key%3Dgeheim"), "postgres://h/db?options=***");
  EXPECT_EQ(without_secret("s3://b?secret=geheim&region=r"), "s3://b?secret=***&region=r");
  EXPECT_EQ(without_secret("s3://b?endpoint=http%3A%2F%2Fme%3Ageheim%40h"), "s3://b?endpoint=***");
  for (const char* shown :
       {"postgres://h/db?sslmode=verify-full&sslrootcert=/a&connect_timeout=3&application_name=me",
        "postgres://h1,h2/db?target_session_attrs=any&load_balance_hosts=random&service=s",
        "s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-1&style=path"})
    EXPECT_EQ(without_secret(shown), shown);
}

TEST_F(ConfigTest, OfAPasswordInKeywordsNothingIsShown) {
  EXPECT_EQ(without_secret("host=there user=me password=geheim dbname=db"),
            "host=there user=me password=***");
  EXPECT_EQ(without_secret("sslpassword = 'ge heim' host=there"), "sslpassword=***");
  EXPECT_EQ(without_secret("user=password password=a://b"), "user=password=***");
  EXPECT_EQ(without_secret("host=there dbname=db"), "host=there dbname=db");
  EXPECT_EQ(without_secret("folder/of/passwords"), "folder/of/passwords");
  EXPECT_EQ(without_secret("password"), "password");
}

TEST_F(ConfigTest, OfATextThatHoldsAUrlOrAlmostOneThePasswordIsNotShown) {
  EXPECT_EQ(without_secret("me:geheim@host/db"), "me:***@host/db");
  EXPECT_EQ(without_secret("postgres:/me:geheim@host/db"), "postgres:***@host/db");
  EXPECT_EQ(without_secret("not expected: postgres://me:geheim@host/db"),
            "not expected: postgres://me:***@host/db");
  EXPECT_EQ(without_secret("not expected: --stor=postgres://me:geheim@host/db"), "not expected:***@host/db");
}

TEST_F(ConfigTest, ASecretOfAFileIsNotPartOfItsErrors) {
  file("store = 'postgres://me:geheim@host/db\n");
  EXPECT_EQ(wrong().find("geheim"), std::string::npos);
  file("store = ['postgres://me:geheim@host/db']\n");
  EXPECT_EQ(wrong().find("geheim"), std::string::npos) << wrong();
}

}  // namespace
}  // namespace spool
