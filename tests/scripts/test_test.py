"""scripts/test must end at the first thing that fails: it is run in a small repository, where all that it calls is a stand-in
that notes its words and fails when it is asked to."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/test"
CALLED = ("scripts/setup", "scripts/fuzz", "scripts/tidy", "tests/browser/install", "bench/fleet/run", "bin/cmake", "bin/ctest")
STAND_IN = """#!/bin/sh
call="$(basename "$0") $*"
echo "$call" >>"$CALLS"
case "$call" in $FAILS) exit "${CODE:-1}" ;; esac
"""


class Test(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="spool-scripts-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name in CALLED:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(STAND_IN)
            (self.folder / name).chmod(0o755)
        shutil.copy(SCRIPT, self.folder / "scripts/test")
        self.git("init", "-q", "-b", "main")
        self.commit("src/old.cpp")
        self.commit("src/new.cpp")

    def git(self, *words):
        subprocess.run(["git", "-C", self.folder, "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True, capture_output=True)

    def commit(self, name):
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(name)
        self.git("add", "src")
        self.git("commit", "-m", name)

    def run_it(self, fails="nothing", **environment):
        """Gives (exit code, calls, what was said)."""
        calls = self.folder / "calls"
        calls.write_text("")
        done = subprocess.run([self.folder / "scripts/test"], capture_output=True, text=True, timeout=60, env={
            **os.environ, "SPOOL_TEST_FAST": "0", "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "CALLS": str(calls), "FAILS": fails,
            **environment})
        return done.returncode, calls.read_text().splitlines(), done.stdout + done.stderr

    def ends_at(self, fails, phase):
        code, calls, said = self.run_it(fails=fails)
        self.assertEqual(code, 1, said)
        self.assertIn(f"{phase}: FAILED", said)
        return calls

    def test_all_goes_well_and_the_whole_suite_is_last(self):
        code, calls, said = self.run_it()
        self.assertEqual(code, 0, said)
        self.assertEqual(calls[-1], "ctest --preset release --repeat until-pass:2")
        for what in ("ctest --preset asan", "ctest --preset tsan", "fuzz 30", "run steady depth"):
            self.assertTrue(any(call.startswith(what) for call in calls), calls)

    def test_a_build_that_fails_runs_no_old_programs(self):
        calls = self.ends_at("cmake?--build?--preset?asan*", "tests under AddressSanitizer and UndefinedBehaviorSanitizer")
        self.assertFalse(any(call.startswith("ctest") for call in calls), calls)
        calls = self.ends_at("cmake?--build?--preset?release*", "release build with all tests")
        self.assertFalse([call for call in calls if call.startswith("ctest --preset release")])

    def test_a_preset_that_cannot_be_configured_is_not_built(self):
        calls = self.ends_at("cmake?--preset?tsan*", "the queue's tests under ThreadSanitizer")
        self.assertFalse(any(call.startswith("cmake --build --preset tsan") for call in calls), calls)

    def test_what_the_fuzzer_finds_and_players_that_cannot_be_had_end_it(self):
        self.ends_at("fuzz*", "fuzzing, 30 s a target")
        self.assertEqual(self.ends_at("install*", "setup")[-1].strip(), "install")
        self.ends_at("tidy*", "clang-tidy on what changed")

    def test_a_goal_of_speed_that_is_missed_is_told_and_fails_nothing(self):
        code, calls, said = self.run_it(fails="run?steady*")
        self.assertEqual(code, 0, said)
        self.assertIn("a goal was missed in this run", said)
        self.assertEqual(calls[-1], "ctest --preset release --repeat until-pass:2")

    def test_speed_that_cannot_be_measured_ends_it(self):
        code, calls, said = self.run_it(fails="run?steady*", CODE="3")
        self.assertNotEqual(code, 0, said)
        self.assertIn("the queue's steady state, and claims over many jobs: FAILED", said)
        self.assertNotEqual(calls[-1], "ctest --preset release --repeat until-pass:2")

    def test_fast_leaves_out_what_it_says(self):
        code, calls, said = self.run_it(SPOOL_TEST_FAST="1")
        self.assertEqual(code, 0, said)
        self.assertIn("SPOOL_TEST_FAST: no sanitizers, no clang-tidy, no fuzzing, no benchmark", said)
        self.assertEqual([call for call in calls if "san" in call or "tidy" in call or "fuzz" in call or "steady" in call], [])

    def test_clang_tidy_takes_what_changed_since_main_and_in_main_the_last_commit(self):
        self.assertIn("clang-tidy: 1 files changed", self.run_it()[2])
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")
        self.assertIn("clang-tidy: 1 files changed", self.run_it()[2])
        self.commit("src/third.cpp")
        self.commit("src/fourth.cpp")
        self.assertIn("clang-tidy: 2 files changed", self.run_it()[2])

    def test_a_clone_of_one_commit_is_told_so_before_anything_is_built(self):
        self.git("checkout", "-q", "--orphan", "alone")
        self.git("commit", "-q", "-m", "alone")
        code, calls, said = self.run_it()
        self.assertEqual(code, 1, said)
        self.assertIn("git fetch --deepen=1", said)
        self.assertFalse(any(call.startswith("cmake") for call in calls), calls)


if __name__ == "__main__":
    unittest.main()
