"""A worker that is stopped (SIGSTOP) past its lease while a second one takes its jobs over and finishes them: continued, it
settles nothing and changes no published file."""
import json
import os
import signal
import sqlite3
import subprocess
import unittest

from running import SPOOL, SUCCEEDED, TranscodeTest, digests, kill, make_film


class Takeover(TranscodeTest):
    def setUp(self):
        super().setUp()
        self.film = make_film(self.folder / "film.mp4", 12)
        self.objects = self.folder / "objects"
        (self.folder / "ladders").mkdir()
        self.ladder.rename(self.folder / "ladders/crash.yaml")
        self.environment = {**os.environ, "SPOOL_LADDERS": str(self.folder / "ladders")}
        self.where = ["--store", f"sqlite:{self.folder}/spool.db", "--objects", str(self.objects)]

    def spool(self, *words):
        done = subprocess.run([SPOOL, *words, *self.where], capture_output=True, text=True, timeout=300,
                              env=self.environment)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def rows(self, question, *values):
        connection = sqlite3.connect(f"file:{self.folder}/spool.db?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(question, values).fetchall()
        finally:
            connection.close()

    def session_of(self, pid):
        return self.rows("SELECT max(session) FROM session WHERE pid = ?", pid)[0][0]

    def test_a_stopped_worker_whose_jobs_another_one_finished_changes_nothing(self):
        job = json.loads(self.spool("submit", "transcode", "-i", str(self.film), "ladder=crash", "--json"))["id"]
        first = subprocess.Popen([SPOOL, "worker", "--slots", "2", *self.where], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True, env=self.environment)
        self.addCleanup(lambda: (kill(first.pid), first.communicate()))
        self.until(lambda: self.running_of(first.pid, self.folder / "spool.db") > 0, "no chunk ever ran")
        lost = self.session_of(first.pid)
        self.stop_past_its_lease(first.pid, self.folder / "spool.db")

        self.spool("worker", "--until-idle", "--slots", "2")
        self.assertEqual(json.loads(self.spool("show", job, "--json"))["state"], "succeeded")
        outcomes = self.rows("SELECT * FROM outcome ORDER BY 1, 2")
        made = digests(self.objects)
        self.assertGreater(len(made), 5)
        self.assert_passes_rfc8216(next(self.objects.rglob("master.m3u8")).parent)

        kill(first.pid, signal.SIGCONT)
        # A new session of the same process shows that it has learnt of its loss; then it is told to end.
        self.until(lambda: first.poll() is not None or self.session_of(first.pid) not in (None, lost), "it never noticed")
        self.assertIsNone(first.poll(), "it ended instead of going on in a new session")
        first.send_signal(signal.SIGTERM)
        said = first.communicate(timeout=120)[1]
        self.assertEqual(first.returncode, 0, said)
        self.assertEqual(self.rows("SELECT * FROM outcome ORDER BY 1, 2"), outcomes, "a late settlement got through")
        self.assertEqual(self.rows("SELECT seq FROM outcome WHERE state = ? GROUP BY seq HAVING count(*) > 1", SUCCEEDED), [])
        self.assertEqual(digests(self.objects), made)
        left = [path for path in (self.objects / ".spool").rglob("*") if path.is_file() and path.name != "publish.lock"]
        self.assertEqual(left, [], "late files are left")


if __name__ == "__main__":
    unittest.main()
