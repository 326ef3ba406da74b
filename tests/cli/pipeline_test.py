"""spool pipeline check, and pipelines that are submitted."""
import os
import unittest

from support import CliTest

RIGHT = """version: 1
name: talk
steps:
  ladder: {kind: transcode, input: $source, ladder: web}
  small: {kind: transcode, input: $steps.ladder.mp4, ladder: mobile, optional: true}
"""


class Pipelines(CliTest):
    def test_a_right_document_is_said_to_be_right(self):
        self.write("talk.yaml", RIGHT)
        self.assertEqual(self.spool("pipeline", "check", "talk.yaml").out,
                         "talk.yaml: 2 steps, nothing wrong\n  ladder (transcode)\n"
                         "  small (transcode) after ladder, optional\n")
        self.assertEqual(self.spool("pipeline", "check", "-", "--json", stdin=RIGHT).json,
                         {"file": "stdin", "ok": True, "complaints": [],
                          "steps": [{"name": "ladder", "kind": "transcode", "needs": [], "optional": False},
                                    {"name": "small", "kind": "transcode", "needs": ["ladder"], "optional": True}]})

    def test_everything_wrong_is_told_with_its_place(self):
        self.write("talk.yaml", RIGHT.replace("version: 1", "version: 3").replace("web", "wab"))
        run = self.spool("pipeline", "check", "talk.yaml", code=2)
        self.assertEqual(run.out, "")
        self.assertIn("talk.yaml:1:10: version 3 is not known here", run.err)
        self.assertIn('talk.yaml:4:53: there is no ladder "wab", did you mean "web"?', run.err)
        self.assertIn("       |                                                     ^~~\n", run.err)
        run = self.spool("pipeline", "check", "talk.yaml", "--json", code=2)
        self.assertEqual([(c["line"], c["column"], c["length"]) for c in run.json["complaints"]], [(1, 10, 1), (4, 53, 3)])

    def test_a_document_that_is_too_large_is_told_what_it_may_have(self):
        self.write("large.yaml", RIGHT + "#" * 300000)
        self.assertIn("large.yaml: larger than 262144 bytes", self.spool("pipeline", "check", "large.yaml", code=None).err)
        most = RIGHT + "#" * (262144 - len(RIGHT))
        self.write("most.yaml", most)
        for name in ("most.yaml", "-"):
            self.spool("pipeline", "check", name, stdin=most)
        self.assertIn("at most 262144 are accepted", self.spool("pipeline", "check", "-", stdin=most + "#", code=2).err)

    def test_a_circle_is_named(self):
        self.write("c.yaml", "version: 1\nsteps:\n  a: {kind: transcode, input: $steps.b, ladder: web}\n"
                             "  b: {kind: transcode, input: $steps.a, ladder: web}\n")
        self.assertRegex(self.spool("submit", "c.yaml", "-i", "c.yaml", code=2).err, r"c\.yaml:\d+:\d+: .*in a circle: a -> b -> a")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "spool-data")), "something was stored")

    def test_a_path_that_is_no_reference_is_refused_before_anything_is_stored(self):
        self.write("p.yaml", "version: 1\nsteps:\n  a: {kind: probe, input: /etc/passwd}\n")
        self.assertIn("such as object:films/talk.mp4", self.spool("pipeline", "check", "p.yaml", code=2).err)
        self.assertIn("such as object:films/talk.mp4", self.spool("submit", "p.yaml", code=2).err)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "spool-data")), "something was stored")

    def test_a_missing_file_is_named(self):
        self.assertIn("nowhere.yaml", self.spool("pipeline", "check", "nowhere.yaml", code=2).err)

    def test_a_ladder_of_the_operators_own_is_known(self):
        self.write("tiny.yaml", "rungs: [{name: 144p, short_side: 144, max_bits_per_second: 200000}]\n")
        self.write("spool.toml", "ladders = '.'\n")
        self.write("p.yaml", "version: 1\nsteps:\n  a: {kind: transcode, input: $source, ladder: tiny}\n")
        self.spool("pipeline", "check", "p.yaml")

    def test_a_wrong_ladder_is_pointed_at_in_its_own_file(self):
        self.write("tiny.yaml", "rungs: [{name: 144p, shortside: 144, max_bits_per_second: 200000}]\n")
        self.write("spool.toml", "ladders = '.'\n")
        self.write("p.yaml", "version: 1\nsteps:\n  a: {kind: transcode, input: $source, ladder: tiny}\n")
        self.assertIn('tiny.yaml:1:22: unknown key "shortside", did you mean "short_side"?',
                      self.spool("pipeline", "check", "p.yaml", code=2).err)

    def test_a_submitted_pipeline_is_one_job(self):
        self.write("talk.yaml", RIGHT)
        self.write("talk.mov", "no film")
        self.assertIn("no source was given", self.spool("submit", "talk.yaml", code=2).err)
        self.assertIn("a pipeline takes no parameters", self.spool("submit", "talk.yaml", "speed=fast", code=2).err)
        self.assertIn("take one slot each", self.spool("submit", "talk.yaml", "-i", "talk.mov", "--slots", "2", code=2).err)
        for option, value, told in (("--attempts", "5", "--attempts: a pipeline's steps are tried 3 times each"),
                                    ("--timeout", "5m", "--deadline is for the whole")):
            self.assertIn(told, self.spool("submit", "talk.yaml", "-i", "talk.mov", option, value, code=2).err)
        self.write("alone.yaml", "version: 1\nsteps:\n  a: {kind: probe, input: object:talk.mp4}\n")
        self.assertIn("no step of this pipeline takes $source", self.spool("submit", "alone.yaml", "-i", "talk.mov", code=2).err)
        id = self.spool("submit", "talk.yaml", "-i", "talk.mov").out.strip()
        job = self.spool("show", id, "--json").json
        self.assertEqual((job["kind"], job["name"]), ("pipeline", "talk"))
        self.assertEqual([s["name"] for s in job["args"]["steps"]], ["ladder", "small"])


if __name__ == "__main__":
    unittest.main()
