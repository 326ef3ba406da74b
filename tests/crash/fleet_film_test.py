"""A film that four worker processes transcode on PostgreSQL and S3 while servers, processes and connections fail at random: no job
is lost, none settled twice, every published byte is that of an undisturbed run.

SPOOL_CHAOS_FAULTS (12) says how many faults there are, 100 is the full size; SPOOL_CHAOS_SEED repeats a run.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

from fleet import HISTORY, Faults, FleetTest, Swift, say
from running import LADDER, SPOOL, make_film

FAULTS = int(os.environ.get("SPOOL_CHAOS_FAULTS", "12"))
LONGEST = 40  # seconds that a fault lasts
SECONDS = 24  # of the film


class Film(FleetTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="spool-fleet-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "ladders").mkdir()
        (self.folder / "ladders/crash.yaml").write_text(json.dumps(LADDER))  # JSON is YAML
        self.swift = self.opened(Swift())
        self.source = make_film(self.folder / "film.mp4", SECONDS, "854x480").read_bytes()

    def more_servers(self):
        return {"S3": self.swift.port}

    def environment(self):
        return {"SPOOL_LADDERS": str(self.folder / "ladders"), "TMPDIR": str(self.folder), **self.swift.keys}

    def where(self, database, ways):
        (store_host, store_port), (objects_host, objects_port) = ways["PostgreSQL"], ways["S3"]
        return ["--store", self.postgres.url(database, store_port, store_host),
                "--objects", self.swift.url(database, objects_port, objects_host)]

    def worker(self, database, ways):
        return [SPOOL, "worker", "--slots", "1", *self.where(database, ways)], self.environment()

    def objects(self, name):
        """{name: digest} of all that there is in the end, but for the playlists that have grown: a late worker may make one shorter
        again (docs/decisions/publishing_without_locks.md), and no result names them."""
        names = [each for each in self.swift.names(f"{name}/") if not each.rsplit("/", 1)[1].startswith("growing")]
        return {each[len(name) + 1:]: hashlib.sha256(self.swift.get(each)).hexdigest() for each in names}

    def spool(self, database, *words):
        """A command as its person would type it, straight to the servers."""
        straight = {"PostgreSQL": ("127.0.0.1", self.postgres.port), "S3": ("127.0.0.1", self.swift.port)}
        done = subprocess.run([SPOOL, *words, *self.where(database, straight)], capture_output=True, text=True, timeout=120,
                              env={**os.environ, **self.environment()})
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}\n{done.stderr}\n{self.what_workers_said()}")
        return done.stdout

    def begin(self, name):
        """A database and a prefix of that name, and the film's job in it."""
        self.postgres.ask(f"CREATE DATABASE {name}")
        self.spool(name, "migrate")
        self.postgres.ask(HISTORY, name)
        self.swift.put(f"{name}/film.mp4", self.source)
        return self.spool(name, "submit", "transcode", "-i", "object:film.mp4", "ladder=crash", "remux=never", "destination=out",
                          "--tag", "sandbox").strip()

    def state(self, name, job):
        return self.postgres.ask(f"SELECT state FROM spool.job_status WHERE id = '{job}'", name)[0][0]

    def names(self, name, job):
        """What the tree is made of: how many jobs of each kind."""
        return self.postgres.ask("SELECT kind, count(*) FROM spool.job GROUP BY kind ORDER BY kind", name)

    def film(self, name, most_faults):
        """Returns how many faults there were."""
        job = self.begin(name)
        self.start_fleet(self.folder, name, self.worker)
        faults = Faults(self.chance, self.workers, self.postgres, LONGEST)
        ended = lambda: self.state(name, job) in ("succeeded", "failed")
        done = self.disturb(name, faults, most_faults, self.rest, ended)
        while self.state(name, job) != "succeeded":  # a part whose process was killed three times: its owner tries again
            say("  failed, and opened again")
            self.assertGreater(faults.struck["kill_child"], 0)
            self.spool(name, "retry", job)
            self.assert_goes_on(name, ended)
        self.drain_fleet()
        self.assert_nothing_was_lost_or_settled_twice(name)
        return done

    def test_no_fault_changes_what_is_published(self):
        self.rest = 1
        began = time.monotonic()
        self.film("undisturbed", 0)
        say(f"  undisturbed: {time.monotonic() - began:.1f} s")
        expected = self.objects("undisturbed")
        self.rest = 1
        left, number = FAULTS, 0
        while left > 0:
            number += 1
            name = f"disturbed_{number}"
            say(f" film {number}")
            left -= self.film(name, left)
            self.assertEqual(self.objects(name), expected)


if __name__ == "__main__":
    unittest.main()
