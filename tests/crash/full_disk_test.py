"""The database's disk is full, and has room again: workers wait and say so once, and nothing is lost."""
import subprocess
import unittest

from fleet import Postgres
from outage import OutageTest

DISK = 200  # MiB
WORKERS, SLOTS = 2, 4
HELD = WORKERS * SLOTS
QUICK = 100
PHASES = 2  # of each: the command, and the publishing of what it made
NO_ROOM = "No space left on device"


class FullDisk(OutageTest):
    def setUp(self):
        super().setUp()
        try:
            self.postgres = self.opened(Postgres("--disk", DISK))
        except PermissionError as refused:
            self.skipTest(str(refused))
        self.make_database()
        for command in ("held", "telling"):
            self.enqueue(command, HELD // 2)
        self.start_workers(self.postgres.url(self.database), WORKERS, SLOTS)
        self.until_held(HELD)
        self.enqueue("quick", QUICK)

    def refused(self, sql):
        """What the server said; nobody tries again."""
        done = subprocess.run(["psql", "-X", "-qAt", "-v", "VERBOSITY=verbose", self.postgres.url(self.database), "-f", "-"], input=sql, text=True,
                              capture_output=True, timeout=60)
        self.assertNotEqual(done.stderr, "", sql)
        return done.stderr

    def fill(self):
        self.postgres.tell("fill")
        said = self.refused("SELECT count(spool.enqueue('exec', '{\"command\": \"quick\"}')) FROM generate_series(1, 20000)")
        self.assertIn("53100", said)
        self.assertIn(NO_ROOM, said)

    def let_go_and_wait(self):
        """Neither what is told nor what has ended can be stored."""
        self.let_go(HELD)
        self.until_all_wait()
        self.assertEqual(self.number("SELECT count(*) FROM spool.running"), HELD)
        self.assertEqual(self.times_said(NO_ROOM), [1] * WORKERS, self.what_workers_said())

    def test_what_ends_meanwhile_is_settled_when_there_is_room(self):
        self.fill()
        self.let_go_and_wait()
        self.postgres.tell("clear")
        self.assert_all_end(claims=PHASES * (HELD + QUICK))

    def test_a_server_that_cannot_write_its_log_and_ends_is_waited_for(self):
        self.fill()
        self.let_go_and_wait()
        said = self.refused(f"SELECT pg_logical_emit_message(false, 'spool', repeat('x', 1 << 20)) FROM generate_series(1, {DISK})")
        self.assertIn("server closed the connection unexpectedly", said)
        self.postgres.tell("clear")
        self.assert_all_end()  # what was claimed in doubt is claimed once more
        self.assertEqual(self.number("SELECT count(*) FROM spool.life WHERE rescues > 0"), 0)


if __name__ == "__main__":
    unittest.main()
