"""docs/deploying.md is true: its commands are run, one after the other, on real servers."""
import os
import re
import shlex
import subprocess
import unittest
import urllib.request

from s3_test import Server
from support import SOURCE, SPOOL, CliTest

PASSWORD = "sesame"  # of every role
NOT_RUN = ["a unit of systemd; its ExecStart is", "needs systemd and root"]
BURNT = 20_000  # transactions of the old server, so that those of the new one count from less
BLOCK = re.compile(r"(?:<!-- not run: (.*?) -->\n)?```(\w*)\n(.*?)```", re.S)


class Postgres:
    """One of tests/servers. `admin` is its superuser, so that `spool` may be an ordinary role, as in the page."""

    def __init__(self):
        self.process = subprocess.Popen([os.path.join(SOURCE, "tests/servers/postgres"), "--no-fsync"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        url, _, _ = (self.process.stdout.readline() for _ in range(3))
        self.port = re.search(r":(\d+)/", url)[1]
        self.psql("spool", f"CREATE ROLE admin SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        self.psql("admin", "ALTER ROLE spool RENAME TO bootstrap")

    def psql(self, user, sql, database="postgres"):
        url = f"postgres://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"
        return subprocess.run(["psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", url, "-c", sql], text=True, timeout=60, check=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class DeployingPage(CliTest):
    def setUp(self):
        super().setUp()
        self.old, self.new, self.swift = Postgres(), Postgres(), Server("swift")
        for server in (self.old, self.new, self.swift):
            self.addCleanup(server.stop)
        self.old.psql("admin", f"DO 'BEGIN FOR i IN 1..{BURNT} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END'")
        self.make_what_an_operator_has()
        with open(os.path.join(SOURCE, "docs/deploying.md"), encoding="utf-8") as file:
            self.page = file.read()

    def make_what_an_operator_has(self):
        """A film, a bucket, passwords in ~/.pgpass and s3cmd's settings."""
        said = self.swift.said
        self.write(".pgpass", f"*:*:*:*:{PASSWORD}\n")
        os.chmod(os.path.join(self.folder, ".pgpass"), 0o600)
        host = said["endpoint"].removeprefix("http://")
        self.write(".s3cfg", f"[default]\nhost_base = {host}\nhost_bucket = {host}\nuse_https = False\n")
        bucket = urllib.request.Request(f"{said['storage_url']}/media", method="PUT", headers={"X-Auth-Token": said["token"]})
        urllib.request.urlopen(bucket, timeout=60).close()
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc=s=160x120:r=25:d=2", "-c:v", "libx264",
                        "-preset", "ultrafast", "-pix_fmt", "yuv420p", "talk.mp4"], cwd=self.folder, check=True)

    def here(self, text):
        """What the page says, with the servers of this test."""
        said = self.swift.said
        for its, ours in (("PGHOST=new.example.org", f"PGHOST=127.0.0.1 PGPORT={self.new.port}"),
                          ("new.example.org", "127.0.0.1"), ("db.example.org", "127.0.0.1"),
                          ("https://s3.example.org", said["endpoint"]), ("eu-central-1", said["region"]),
                          ("AWS_ACCESS_KEY_ID=...", f"AWS_ACCESS_KEY_ID={said['access_key']}"),
                          ("AWS_SECRET_ACCESS_KEY=...", f"AWS_SECRET_ACCESS_KEY={said['secret_key']}")):
            text = text.replace(its, ours)
        return text

    def run_as_shown(self, command, expected):
        """What it sets is there for the next one."""
        script = f'set -a\n[ ! -e .exported ] || . ./.exported\n{self.here(command)}\ncode=$?\nexport -p > .exported\nexit $code\n'
        path = os.path.dirname(os.path.abspath(SPOOL)) + ":" + os.environ["PATH"]
        environment = self.environment(PATH=path, HOME=self.folder, PGHOST="127.0.0.1", PGPORT=self.old.port, PGUSER="admin", LC_ALL="C.UTF-8")
        done = subprocess.run(["bash", "-c", script], cwd=self.folder, input=f"{PASSWORD}\n" * 2, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True, timeout=120)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}")
        pattern = re.sub(r"(?m)^…\n", "(?:.*\n)*", re.escape(self.here(expected)).replace("\\\n", "\n"))
        self.assertRegex(done.stdout, "^" + pattern.replace("…", ".*") + "$", command)

    def start_service(self, unit):
        """What systemd does with the page's unit."""
        words = shlex.split(re.search(r"(?m)^ExecStart=(.*)$", unit)[1])
        self.assertEqual(os.path.basename(words[0]), "spool")
        command = f". ./.exported; exec {shlex.join([os.path.abspath(SPOOL), *words[1:]])}"
        worker = subprocess.Popen(["bash", "-c", command], cwd=self.folder, env=self.environment(HOME=self.folder), stderr=subprocess.PIPE,
                                  text=True)
        for undo in (worker.stderr.close, worker.wait, worker.kill):
            self.addCleanup(undo)
        while "working on" not in worker.stderr.readline():
            self.assertIsNone(worker.poll())
        return worker

    def test_its_commands_do_what_they_show_and_those_that_are_not_run_are_known(self):
        skipped, ran, worker = [], 0, None
        self.assertEqual(2 * len(BLOCK.findall(self.page)), self.page.count("```"))
        for reason, language, text in BLOCK.findall(self.page):
            if reason:
                skipped.append(reason)
                worker = self.start_service(text) if language == "ini" else worker
                continue
            self.assertEqual(language, "console", text)
            commands = re.findall(r"(?m)^\$ (.*)\n((?:(?!\$ ).*\n)*)", text)
            self.assertTrue(commands, text)
            for command, expected in commands:
                self.run_as_shown(command, expected)
                ran += 1
        self.assertEqual(skipped, NOT_RUN)
        self.assertGreater(ran, 30)
        self.assertEqual(worker.wait(60), 0, "it was drained")
        self.assert_ends_go_on_after_the_restored_ones()

    def assert_ends_go_on_after_the_restored_ones(self):
        """And would not, had the page not raised the epoch."""
        last = "SELECT max(n) >> 20 FROM spool.outcome"
        restored = int(self.new.psql("admin", last, "spool"))
        self.spool("submit", "probe", "-i", "object:films/talk.mp4", **self.on_new_server())
        self.spool("worker", "--until-idle", **self.on_new_server())
        ended, epoch = int(self.new.psql("admin", last, "spool")), int(self.new.psql("admin", "SELECT epoch FROM spool.log_epoch", "spool"))
        self.assertGreater(ended, restored)
        self.assertLess(ended - epoch, restored)

    def on_new_server(self):
        said = self.swift.said
        return {"SPOOL_STORE": f"postgres://fleet:{PASSWORD}@127.0.0.1:{self.new.port}/spool", "AWS_ACCESS_KEY_ID": said["access_key"],
                "AWS_SECRET_ACCESS_KEY": said["secret_key"],
                "SPOOL_OBJECTS": f"s3://media/spool?endpoint={said['endpoint']}&region={said['region']}"}


if __name__ == "__main__":
    unittest.main()
