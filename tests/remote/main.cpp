// One program, two parts: the tests, and (as `... run-job`) the child that their workers start.
#include <gtest/gtest.h>

#include <string_view>

#include "executors/process/run_job.h"
#include "steps/steps.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "run-job")
    return spool::run_job_main(spool::steps::make_kinds({}), argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
