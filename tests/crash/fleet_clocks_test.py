"""As fleet_film_test.py, with two workers whose clocks are off by an hour, and the objects in a folder that they share: an S3 service
would tell them the time.

SPOOL_CHAOS_FAULTS (4) says how many faults there are, SPOOL_CHAOS_SEED repeats a run.
"""
import os
import unittest

from fleet_film import FilmTest
from running import digests

FAULTS = int(os.environ.get("SPOOL_CHAOS_FAULTS", "4"))
HOUR = 3600


class InAFolder(FilmTest):
    clocks = (0, HOUR, -HOUR, 0)

    def objects_url(self, name, _):
        return str(self.folder / name)

    def put(self, name, key, data):
        (self.folder / name).mkdir(exist_ok=True)
        (self.folder / name / key).write_bytes(data)

    def digests(self, name):
        left = [path for path in (self.folder / name / ".spool").rglob("*") if path.is_file() and path.name != "publish.lock"]
        self.assertEqual(left, [], "files of attempts are left")
        return digests(self.folder / name)

    def test_no_clock_changes_what_is_published(self):
        self.check_films(FAULTS)


if __name__ == "__main__":
    unittest.main()
