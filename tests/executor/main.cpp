// One program, two parts: the tests, and (as `... run-job`) the child that they start.
#include <gtest/gtest.h>

#include <string_view>

#include "executor/kinds.h"
#include "executors/process/run_job.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "run-job")
    return spool::run_job_main(spool::child_kinds(), argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
