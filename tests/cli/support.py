"""What the tests of the command line share: a folder of their own, and the program run in it."""
import json
import os
import subprocess
import tempfile
import unittest

SPOOL = os.environ.get("SPOOL", "build/dev/spool")
SOURCE = os.environ.get("SPOOL_SOURCE", os.getcwd())


class Run:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


class CliTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="spool-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def environment(self, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SPOOL_")}
        return {**kept, **more}

    def spool(self, *words, code=0, stdin=None, **environment):
        done = subprocess.run([SPOOL, *words], cwd=self.folder, input=stdin, capture_output=True, text=True,
                              env=self.environment(**environment), timeout=240)
        run = Run(done)
        if code is not None:
            self.assertEqual(run.code, code, f"{words}\n--- stdout\n{run.out}\n--- stderr\n{run.err}")
        return run

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)
        return name
