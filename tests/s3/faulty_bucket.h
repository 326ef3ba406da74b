// A store whose service does damage by rules: Swift behind tests/servers/s3_faults, which tells of the rules.
#pragma once

#include <gtest/gtest.h>

#include "s3/bucket.h"
#include "test_paths.h"

namespace spool::test {

class FaultyBucket : public testing::Test {
 protected:
  static Server& faults() {
    static Server server({SPOOL_SOURCE_DIR "/tests/servers/s3_faults", service()["endpoint"]});
    return server;
  }
  static void rule(const Json& rule) { faults().ask(rule); }
  // Of the requests so far, as "METHOD /bucket/key?query".
  static int count(const std::string& pattern) { return faults().ask({{"count", pattern}})["count"]; }

  void SetUp() override {
    faults().ask({{"clear", true}});
    config_ = bucket_config(faults().ready()["endpoint"]);
    store_ = S3ObjectStore::at(config_).value();
  }
  void TearDown() override { faults().ask({{"clear", true}}); }

  S3Config config_;
  std::unique_ptr<S3ObjectStore> store_;
};

}  // namespace spool::test
