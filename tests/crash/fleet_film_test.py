"""A film that four worker processes transcode on PostgreSQL and S3 while servers, processes and connections fail at random: no job
is lost, none settled twice, every published byte is that of an undisturbed run.

SPOOL_CHAOS_FAULTS (12) says how many faults there are, 100 is the full size; SPOOL_CHAOS_SEED repeats a run.
"""
import hashlib
import os
import subprocess
import time
import unittest

from fleet import Swift, say
from fleet_film import FilmTest

FAULTS = int(os.environ.get("SPOOL_CHAOS_FAULTS", "12"))


class OnS3(FilmTest):
    def setUp(self):
        super().setUp()
        self.swift = self.opened(Swift())

    def servers(self):
        return {**super().servers(), "S3": self.swift.port}

    def environment(self):
        return {**super().environment(), **self.swift.keys}

    def objects_url(self, name, ways):
        host, port = ways["S3"]
        return self.swift.url(name, port, host)

    def put(self, name, key, data):
        self.swift.put(f"{name}/{key}", data)

    def sweep(self, name):
        """An upload that was on its way when its worker was killed may arrive when all else is over: it goes with the next worker."""
        late = lambda: [each for each in self.swift.names(f"{name}/") if each.startswith(f"{name}/.spool/attempts/")]
        if not late():
            return
        say(f"  arrived late: {late()}")
        straight = {server: ("127.0.0.1", port) for server, port in self.servers().items()}
        command, environment = self.worker(name, straight)
        with subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL) as worker:
            patience = time.monotonic() + 60
            while late() and time.monotonic() < patience:
                time.sleep(0.2)
            worker.terminate()
        self.assertEqual(late(), [], "nobody has swept it")

    def digests(self, name):
        """Of all that there is in the end, but for the playlists that grew: a late worker may make one shorter again, and no result
        names them (docs/decisions/publishing_without_locks.md)."""
        self.sweep(name)
        names = [each for each in self.swift.names(f"{name}/") if not each.rsplit("/", 1)[1].startswith("growing")]
        return {each[len(name) + 1:]: hashlib.sha256(self.swift.get(each)).hexdigest() for each in names}

    def test_no_fault_changes_what_is_published(self):
        self.check_films(FAULTS)


if __name__ == "__main__":
    unittest.main()
