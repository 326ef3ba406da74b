"""Jobs from outside: submit, list, show, change."""
import os
import unittest

from support import CliTest

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
JOB_KEYS = set("""id parent root kind name owner queue unique_key limit_key labels args needs optional priority slots tags
    state limited phase attempts most_attempts rescues cancel_requested timeout deadline progress progress_detail result errors worker usage
    created ready claimed ended""".split())


class Jobs(CliTest):
    def setUp(self):
        super().setUp()
        self.write("talk.mov", "no film")

    def submit(self, *more, code=0):
        return self.spool("submit", "transcode", "-i", "talk.mov", "ladder=mobile", *more, code=code)

    def test_a_submitted_job_has_what_was_asked_for(self):
        self.submit("start=1m30s", "speed=balanced", "--name", "talk", "--id", ID, "--queue", "night", "--priority", "3",
                    "--label", "room=12", "--tag", "gpu", "--slots", "3", "--attempts", "5", "--timeout", "2m", "--owner", "me")
        job = self.spool("show", ID, "--json").json
        self.assertEqual(set(job), JOB_KEYS | {"children"})
        self.assertEqual(job["args"]["start"], 90)
        self.assertEqual(job["args"]["speed"], "balanced")
        self.assertEqual(job["args"]["ladder"]["name"], "mobile")
        self.assertEqual(job["args"]["input"], "file:" + os.path.realpath(os.path.join(self.folder, "talk.mov")))
        expected = {"name": "talk", "queue": "night", "priority": 3, "labels": {"room": "12"}, "tags": ["gpu", "sandbox"],
                    "slots": 3, "most_attempts": 5, "timeout": 120, "owner": "me", "state": "available", "children": []}
        self.assertEqual({k: job[k] for k in expected}, expected)

    def test_a_transcode_has_the_web_ladder_unless_it_names_another(self):
        self.spool("submit", "transcode", "-i", "talk.mov", "--id", ID)
        self.assertEqual(self.spool("show", ID, "--json").json["args"]["ladder"]["name"], "web")

    def test_the_same_id_and_job_twice_is_one_job_and_with_another_a_conflict(self):
        self.assertEqual(self.submit("--id", ID, "--json").json, {"id": ID, "existed": False})
        again = self.submit("--id", ID, "--json")
        self.assertEqual(again.json, {"id": ID, "existed": True})
        self.assertIn("was there already", again.err)
        self.assertEqual(self.submit("speed=balanced", "--id", ID, "--json", code=2).json["error"]["code"], "conflict")

    def test_wrong_parameters_are_named_before_anything_is_stored(self):
        for words, told in ((["start=10"], 'transcode: start: "10" is not a duration: the unit is missing'),
                            (["start=10x"], '"x" is no unit of time'),
                            (["sped=fast"], 'unknown key "sped", did you mean "speed"?'),
                            (["speed=slow"], "transcode: speed: must be one of fast, balanced"),
                            (["start"], '"start": expected KEY=VALUE'),
                            (["--delay", "10"], "--delay: "),
                            (["--id", "12"], "12"),
                            (["--id", "00000000-0000-0000-0000-000000000000"], "--id: 00000000-0000-0000-0000-000000000000 is no id"),
                            (["--slots", "0"], "--slots: Value 0 not in range 1 to 4096"),
                            (["--slots", "4097"], "--slots: Value 4097 not in range 1 to 4096"),
                            (["--args", "{"], "--args")):
            self.assertIn(told, self.submit(*words, code=2).err)
        self.assertIn("did you mean 'transcode'", self.spool("submit", "trancode", code=2).err)
        self.assertIn("nowhere.mov", self.spool("submit", "transcode", "-i", "nowhere.mov", code=2).err)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "spool-data")))

    def test_an_id_may_be_abbreviated_as_long_as_it_is_one_jobs(self):
        self.submit("--id", ID)
        self.assertEqual(self.spool("show", ID[:6].upper(), "--json").json["id"], ID)
        self.submit("--id", ID[:-1] + "8", "speed=balanced")
        run = self.spool("show", ID[:6], code=2)
        self.assertIn("the beginning of several ids", run.err)
        self.assertIn(ID, run.err)
        self.assertIn("there is no job ffff", self.spool("show", "ffff", code=2).err)
        self.assertIn("is no id of a job", self.spool("show", "talk", code=2).err)

    def test_the_table_has_filters(self):
        self.submit("--id", ID, "--name", "first")
        self.submit("--queue", "night", "--held")
        self.assertEqual(len(self.spool("jobs", "--json").json["jobs"]), 2)
        self.assertEqual([j["name"] for j in self.spool("jobs", "--queue", "default", "--json").json["jobs"]], ["first"])
        self.assertEqual([j["queue"] for j in self.spool("jobs", "--state", "created", "--json").json["jobs"]], ["night"])
        newest = self.spool("jobs", "--most", "1", "--json").json
        self.assertEqual((len(newest["jobs"]), newest["older"], newest["jobs"][0]["queue"]), (1, True, "night"))
        table = self.spool("jobs").out.splitlines()
        self.assertEqual(table[0].split(), ["ID", "STATE", "AGE", "KIND", "NAME"])
        self.assertEqual(len(table), 3)
        self.assertEqual(self.spool("jobs", "--kind", "nothing").out, "")

    def test_held_jobs_wait_for_start_and_end_by_cancel_retry_and_rm(self):
        self.submit("--id", ID, "--held")
        state = lambda: self.spool("show", ID, "--json").json["state"]
        self.assertEqual(state(), "created")
        self.assertEqual(self.spool("start", ID).out, f"started {ID}\n")
        self.assertEqual(state(), "available")
        self.spool("cancel", ID)
        self.assertEqual(state(), "cancelled")
        self.spool("retry", ID)
        self.assertEqual(state(), "available")
        self.assertEqual(self.spool("rm", ID, "--json").json, {"jobs": [{"id": ID, "ok": True}]})
        self.spool("show", ID, code=2)

    def test_one_job_that_cannot_be_changed_does_not_keep_the_others_from_it(self):
        self.submit("--id", ID)
        run = self.spool("cancel", "ffffffff", ID, "--json", code=2)
        first, second = run.json["jobs"]
        self.assertEqual((first["ok"], first["error"]["code"]), (False, "not_found"))
        self.assertEqual(second, {"id": ID, "ok": True})
        self.assertEqual(self.spool("show", ID, "--json").json["state"], "cancelled")

    def test_watching_an_ended_job_says_how_it_ended(self):
        self.submit("--id", ID)
        self.spool("cancel", ID)
        run = self.spool("watch", ID, code=1)
        self.assertIn("cancelled", run.err)
        self.assertEqual(run.out, "")
        self.assertEqual(self.spool("watch", ID, "--json", code=1).json["state"], "cancelled")

    def test_nothing_but_text_reaches_a_pipe(self):
        self.submit("--id", ID, "--name", "a\x1b[2Jb")
        for command in (["jobs"], ["show", ID]):
            self.assertNotIn("\x1b", self.spool(*command).out)


if __name__ == "__main__":
    unittest.main()
