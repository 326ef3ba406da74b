"""A film that a fleet transcodes under faults: what is the same wherever its objects are kept."""
import json
import os
import pathlib
import subprocess
import tempfile

from fleet import HISTORY, Faults, FleetTest, say
from running import LADDER, SPOOL, make_film

LONGEST = 40  # seconds that a fault lasts
REST = 1.5  # seconds between two at most
SECONDS = 24  # of the film


class FilmTest(FleetTest):
    """A subclass says where objects are: objects_url(), put() and digests()."""

    clocks = (0, 0, 0, 0)
    maxDiff = None  # all objects that are others

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="spool-fleet-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "ladders").mkdir()
        (self.folder / "ladders/crash.yaml").write_text(json.dumps(LADDER))  # JSON is YAML
        self.source = make_film(self.folder / "film.mp4", SECONDS, "854x480").read_bytes()

    def environment(self):
        return {"SPOOL_LADDERS": str(self.folder / "ladders"), "TMPDIR": str(self.folder)}

    def where(self, name, ways):
        host, port = ways["PostgreSQL"]
        return ["--store", self.postgres.url(name, port, host), "--objects", self.objects_url(name, ways)]

    def worker(self, name, ways):
        return [SPOOL, "worker", "--slots", "1", *self.where(name, ways)], self.environment()

    def spool(self, name, *words):
        """A command as a person would type it, straight to the servers."""
        straight = {server: ("127.0.0.1", port) for server, port in self.servers().items()}
        done = subprocess.run([SPOOL, *words, *self.where(name, straight)], capture_output=True, text=True, timeout=120,
                              env={**os.environ, **self.environment()})
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}\n{done.stderr}\n{self.what_workers_said()}")
        return done.stdout

    def begin(self, name):
        """A database and a place for objects of that name, and the film's job in them."""
        self.postgres.ask(f"CREATE DATABASE {name}")
        self.spool(name, "migrate")
        self.postgres.ask(HISTORY, name)
        self.put(name, "film.mp4", self.source)
        return self.spool(name, "submit", "transcode", "-i", "object:film.mp4", "ladder=crash", "remux=never", "destination=out",
                          "--tag", "sandbox").strip()

    def state(self, name, job):
        return self.postgres.ask(f"SELECT state FROM spool.job_status WHERE id = '{job}'", name)[0][0]

    def jobs(self, name):
        """How many of each kind there are."""
        return self.postgres.ask("SELECT kind, count(*) FROM spool.job GROUP BY kind ORDER BY kind", name)

    def transcode(self, name, most_faults):
        """Returns how many faults there were."""
        job = self.begin(name)
        self.start_fleet(self.folder, name, self.worker, self.clocks)
        faults = Faults(self.chance, self.workers, self.postgres, LONGEST)
        ended = lambda: self.state(name, job) in ("succeeded", "failed")
        done = self.disturb(name, faults, most_faults, REST, ended)
        while self.state(name, job) == "failed":  # a part whose attempts were all hit; its owner tries again
            failures = self.postgres.ask("SELECT kind, attempt, message FROM spool.failure JOIN spool.job USING (seq)", name)
            say(f"  failed, and opened again: {failures}")
            self.assertGreater(done, 0)
            self.spool(name, "retry", job)
            self.assert_goes_on(name, ended)
        self.drain_fleet()
        self.assert_nothing_was_lost_or_settled_twice(name)
        return done

    def check_films(self, faults):
        """Film after film, until there were so many faults."""
        self.transcode("undisturbed", 0)
        expected, jobs = self.digests("undisturbed"), self.jobs("undisturbed")
        number = 0
        while faults > 0:
            number += 1
            name = f"disturbed_{number}"
            say(f" film {number}")
            faults -= self.transcode(name, faults)
            self.assertEqual(self.digests(name), expected)
            self.assertEqual(self.jobs(name), jobs, "a job was lost, or made twice")
