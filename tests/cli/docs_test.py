"""docs/cli.md and docs/pipelines.md are true: their examples are run, and the options of --help are theirs."""
import os
import re
import subprocess
import unittest

from support import SOURCE, SPOOL, CliTest


def read(name):
    with open(os.path.join(SOURCE, "docs", name), encoding="utf-8") as file:
        return file.read()


class CliPage(CliTest):
    def test_its_examples_do_what_they_show(self):
        # All in one folder, one after the other. "…" stands for anything; "# exits N" for another code than 0.
        path = os.path.dirname(os.path.abspath(SPOOL)) + ":" + os.environ["PATH"]
        ran = 0
        for block in re.findall(r"```console\n(.*?)```", read("cli.md"), re.S):
            for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
                code = int((re.search(r"# exits (\d)", command) or [0, 0])[1])
                done = subprocess.run(["bash", "-c", command], cwd=self.folder, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, env=self.environment(PATH=path), timeout=120)
                self.assertEqual(done.returncode, code, f"{command}\n{done.stdout}")
                pattern = re.escape(expected).replace("…", ".*")
                self.assertRegex(done.stdout, "^" + pattern + "$", command)
                ran += 1
        self.assertGreater(ran, 8)

    def test_every_option_of_a_command_is_described_with_it(self):
        text = read("cli.md")
        everywhere = {"--help", "--json", "--store", "--objects", "--config"}
        for command in re.findall(r"(?m)^  (\w+)  ", self.spool("--help").out):
            section = re.search(rf"(?ms)^## spool {command}(?: check)?$(.*?)(?=^## |\Z)", text)
            self.assertIsNotNone(section, f"docs/cli.md has no section of spool {command}")
            below = self.spool(command, "--help").out.partition("Subcommands:")[2]
            ways = [[command], *([command, name] for name in re.findall(r"(?m)^  (\w+)  ", below))]
            options = {option for words in ways
                       for option in re.findall(r"(?m)^ +(?:-\w,)?(--[a-z-]+)", self.spool(*words, "--help").out)}
            for option in options - everywhere:
                self.assertIn(f"`{option}", section.group(1), f"spool {command} {option}")
            for option in set(re.findall(r"`(--[a-z-]+)", section.group(1))) - everywhere:
                self.assertIn(option, options, f"spool {command} has no {option}")


class PipelinesPage(CliTest):
    def test_its_examples_are_right_or_wrong_as_it_says(self):
        pattern = r"<!-- (right|wrong) -->\n```(yaml|json)\n(.*?)```(?:\n\n```text\n(.*?)```)?"
        examples = re.findall(pattern, read("pipelines.md"), re.S)
        self.assertGreaterEqual(len(examples), 4)
        for verdict, sort, document, told in examples:
            name = self.write(f"pipeline.{sort}", document)
            run = self.spool("pipeline", "check", name, code=0 if verdict == "right" else 2)
            if verdict == "wrong":
                self.assertEqual(run.err, told)

    def test_its_table_has_every_parameter_of_every_kind_and_no_other(self):
        everywhere = {"input", "destination", "digest"}  # told above the table; digest is the program's own
        table = dict(re.findall(r"(?m)^\| `(\w+)` \| (.*?) \| .*? \|$", read("pipelines.md").split("## Kinds")[1].split("## Units")[0]))
        self.write("p.yaml", "version: 1\nsteps: {a: {kind: none}}\n")
        kinds = re.search(r"known are ([\w, ]+)", self.spool("pipeline", "check", "p.yaml", code=2).err)[1].split(", ")
        self.assertEqual(set(table), set(kinds))
        for kind, cell in table.items():
            schema = re.search(r'unknown key "zzz"; known are ([\w, ]+)', self.spool("submit", kind, "zzz=1", code=2).err)[1].split(", ")
            told = set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", cell)))
            self.assertEqual(told - everywhere, set(schema) - everywhere, kind)

    def test_its_tables_have_every_key_of_a_ladder_and_no_other(self):
        ladder, rung = read("pipelines.md").split("## Ladders")[1].split("## What is refused")[0].split("and of each rung")
        for table, document in ((ladder, "zzz: 1\nrungs: []\n"), (rung, "rungs: [{zzz: 1}]\n")):
            self.write("l.yaml", document)
            self.write("film.mp4", "no film")
            said = self.spool("transcode", "film.mp4", "-o", "out", "--ladder", "l.yaml", code=2).err
            told = {key for cell in re.findall(r"(?m)^\| (`.*?) \|", table) for key in re.findall(r"`(\w+)`", cell)}
            self.assertEqual(told, set(re.search(r'unknown key "zzz"; known are ([\w, ]+)', said)[1].split(", ")))

    def test_every_document_in_it_is_an_example(self):
        marks = re.findall(r"<!-- (?:right|wrong) -->", read("pipelines.md"))
        self.assertEqual(len(marks), len(re.findall(r"```(?:yaml|json)\n", read("pipelines.md"))))


if __name__ == "__main__":
    unittest.main()
