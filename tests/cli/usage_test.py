"""Exit codes, help, errors and configuration."""
import json
import os
import re
import subprocess
import unittest

from support import SPOOL, CliTest

COMMANDS = ["transcode", "worker", "submit", "jobs", "show", "watch", "start", "cancel", "retry", "rm", "pipeline", "ladders", "doctor", "version"]


class Usage(CliTest):
    def test_help_lists_every_command_and_ends_well(self):
        out = self.spool("--help").out
        for command in COMMANDS:
            self.assertRegex(out, rf"(?m)^  {command} +\S")
            self.assertIn("--help", self.spool(command, "--help").out)

    def test_wrong_usage_ends_with_2_and_says_why_on_stderr(self):
        for words in ([], ["nonsense"], ["show"], ["jobs", "--state", "odd"], ["jobs", "--most", "0"], ["jobs", "--nonsense"]):
            run = self.spool(*words, code=2)
            self.assertEqual(run.out, "", words)
            self.assertRegex(run.err, r"^spool: .+\n$", words)
            answer = self.spool(*words, "--json", code=2).json
            self.assertEqual(answer["error"]["code"], "invalid_argument", words)
            self.assertIn(answer["error"]["message"], run.err)

    def test_what_is_no_command_is_named_with_the_one_that_is_near(self):
        for words, told in ((["transcod", "a.mp4", "-o", "out"], "there is no command 'transcod', did you mean 'transcode'?"),
                            (["help"], "there is no command 'help' (see --help)"),
                            (["queues", "paus", "night"], "there is no command 'paus', did you mean 'pause'?"),
                            (["limit", "lst"], "there is no command 'lst', did you mean 'list'?"),
                            (["limit"], "A subcommand is required")):
            self.assertIn(told, self.spool(*words, code=2).err)

    def test_the_version_is_told_in_words_and_in_json(self):
        version = self.spool("version", "--json").json["version"]
        self.assertRegex(version, r"^\d+\.\d+\.\d+$")
        self.assertEqual(self.spool("version").out, f"spool {version}\n")

    def test_a_reading_command_makes_no_store(self):
        run = self.spool("jobs", code=2)
        self.assertIn("spool-data/spool.db: there is no store here yet", run.err)
        self.assertEqual(self.spool("jobs", "--json", code=2).json["error"]["code"], "not_found")

    def test_another_kind_of_store_is_refused_without_its_password(self):
        run = self.spool("jobs", "--store", "mysql://me:geheim@host/db", code=2)
        self.assertIn("mysql://me:***@host/db: jobs are kept in sqlite:PATH or postgres://", run.err)
        self.assertNotIn("geheim", run.out + run.err)

    def test_a_file_that_is_no_database_is_named(self):
        self.write("film.db", "this is a text, and not a database of any kind")
        run = self.spool("jobs", "--store", "sqlite:film.db", code=3)
        self.assertIn("film.db", run.err)

    def test_a_store_may_be_a_file_of_the_folder_where_one_is(self):
        words = ("submit", "exec", "command=fine")
        self.write("spool.toml", "store = 'sqlite:file.db'\n[commands.fine]\ncommand = ['true']\n")
        self.spool(*words)
        self.spool(*words, "--store", "sqlite:flag.db")
        for name in ("file.db", "flag.db"):
            self.assertTrue(os.path.exists(os.path.join(self.folder, name)), name)

    def test_a_store_without_a_path_is_refused(self):
        told = 'store: must be a URL like "sqlite:PATH"'
        self.assertIn(f"--store: {told}", self.spool("jobs", "--store", "sqlite:", code=2).err)
        self.assertIn(f"SPOOL_STORE: {told}", self.spool("jobs", code=2, SPOOL_STORE="sqlite:").err)
        self.write("spool.toml", "store = 'sqlite:'\n")
        self.assertIn(f"spool.toml:1:9: {told}", self.spool("jobs", code=2).err)

    def test_a_wrong_configuration_is_pointed_at(self):
        self.write("spool.toml", "[worker]\nslotz = 3\n")
        run = self.spool("jobs", code=2)
        self.assertIn("spool.toml:2:1: worker: unknown key 'slotz' (did you mean 'slots'?)", run.err)

    def test_a_flag_beats_a_variable_and_that_the_file(self):
        self.write("spool.toml", "store = 'sqlite:file.db'\n")
        def store(*flags, **variables):
            return re.search(r"(\w+)\.db", self.spool("jobs", *flags, code=2, **variables).err).group(1)
        self.assertEqual(store(), "file")
        self.assertEqual(store(SPOOL_STORE="sqlite:variable.db"), "variable")
        self.assertEqual(store("--store", "sqlite:flag.db", SPOOL_STORE="sqlite:variable.db"), "flag")


class Ladders(CliTest):
    def test_the_built_in_ones_are_listed_and_those_of_the_folder(self):
        os.mkdir(os.path.join(self.folder, "mine"))
        self.write("mine/tiny.yaml", "rungs: [{name: 120p, short_side: 120, codec: h264, crf: 30, max_bits_per_second: 200000}]\n")
        self.write("spool.toml", "ladders = 'mine'\n")
        listed = {ladder["name"]: ladder for ladder in self.spool("ladders", "--json").json["ladders"]}
        self.assertEqual(set(listed), {"mobile", "source", "tiny", "web"})
        self.assertEqual(listed["web"], {"name": "web", "rungs": ["1080p", "720p", "480p", "360p"], "file": None})
        self.assertEqual(listed["tiny"]["rungs"], ["120p"])
        self.assertTrue(listed["tiny"]["file"].endswith("mine/tiny.yaml"))
        out = self.spool("ladders").out
        self.assertRegex(out, r"(?m)^NAME +RUNGS +FROM$")
        self.assertRegex(out, r"(?m)^web +1080p, 720p, 480p, 360p +built in$")
        self.assertRegex(out, r"(?m)^tiny +120p +.*mine/tiny\.yaml$")

    def test_a_wrong_one_is_pointed_at(self):
        os.mkdir(os.path.join(self.folder, "mine"))
        self.write("mine/tiny.yaml", "zzz: 1\n")
        self.assertIn("mine/tiny.yaml:1:1: unknown key", self.spool("ladders", code=2, SPOOL_LADDERS="mine").err)


class Doctor(CliTest):
    def test_says_what_there_is_and_makes_nothing(self):
        run = self.spool("doctor", "--json", code=None)
        self.assertIn(run.code, (0, 1))
        report = run.json
        self.assertEqual(report["ok"], run.code == 0)
        self.assertEqual(report["ok"], all(f["health"] != "problem" for f in report["findings"]))
        self.assertEqual({f["area"] for f in report["findings"]},
                         {"machine", "config", "ffmpeg", "sandbox", "memory", "store", "objects"})
        for finding in report["findings"]:
            self.assertEqual(set(finding), {"area", "health", "found", "remedy"})
            if finding["health"] == "problem":
                self.assertNotEqual(finding["remedy"], "", finding)
        self.assertEqual(os.listdir(self.folder), [])

    def test_without_a_sandbox_it_says_how_to_get_it(self):
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
        done = subprocess.run([*unshare, "sh", "-ec", 'mount --bind /dev/null "$(command -v bwrap)"; exec "$@"', "sh",
                               SPOOL, "doctor", "--json"], cwd=self.folder, capture_output=True, text=True,
                              env=self.environment(), timeout=60)
        self.assertEqual(done.returncode, 1, done.stdout)
        sandbox = [f for f in json.loads(done.stdout)["findings"] if f["area"] == "sandbox"]
        self.assertEqual([f["health"] for f in sandbox], ["problem"])
        self.assertIn("bubblewrap", sandbox[0]["remedy"])

    def test_a_broken_store_is_a_problem(self):
        self.write("broken.db", "this is a text, and not a database of any kind")
        run = self.spool("doctor", "--store", "sqlite:broken.db", code=1)
        self.assertIn("broken.db", run.out)
        self.assertIn("Not ready", run.out)


if __name__ == "__main__":
    unittest.main()
