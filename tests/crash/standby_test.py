"""A primary dies, its standby is promoted, and workers whose URL names both go on: nothing that was committed is lost, for the standby
has it (synchronous_standby_names)."""
import unittest

from fleet import Postgres
from outage import OutageTest

WORKERS, SLOTS = 3, 4
HELD = WORKERS * SLOTS
QUICK = 300
PHASES = 2  # of each: the command, and the publishing of what it made


class Standby(OutageTest):
    def setUp(self):
        super().setUp()
        self.postgres = self.opened(Postgres())
        self.make_database()
        self.standby = self.opened(Postgres("--standby-of", self.postgres.port))
        self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")  # not the standby's setting: it was copied before
        self.ask("SELECT pg_reload_conf()")
        self.until(lambda: self.ask("SELECT sync_state FROM pg_stat_replication") == [["sync"]], "the standby does not follow")
        self.url = f"postgres://spool@127.0.0.1:{self.standby.port},127.0.0.1:{self.postgres.port}/{self.database}"

    def lose_primary(self):
        self.postgres.tell("stop")  # immediately, and for good

    def promote(self):
        self.standby.tell("promote")
        self.postgres = self.standby

    def test_what_ends_while_no_primary_is_there_is_settled_on_the_new_one_and_charged_once(self):
        self.enqueue("held", HELD)
        self.start_workers(self.url, WORKERS, SLOTS)
        self.until_held(HELD)
        self.enqueue("quick", QUICK)
        self.lose_primary()
        self.let_go(HELD)
        self.until_all_wait()
        self.promote()
        self.assert_all_end(claims=PHASES * (HELD + QUICK))

    def test_jobs_that_begin_and_end_meanwhile_end_once_and_what_runs_goes_on(self):
        self.enqueue("held", 1)
        self.start_workers(self.url, WORKERS, SLOTS)
        self.until_held(1)
        self.enqueue("quick", QUICK)
        self.until(lambda: self.number("SELECT count(*) FROM spool.outcome") >= QUICK / 6, "nothing ends")
        self.lose_primary()
        self.until_all_wait()
        self.promote()
        self.until(lambda: self.number("SELECT count(*) FROM spool.job_status WHERE ended IS NULL") == 1, "not all jobs end")
        self.let_go(1)
        self.assert_all_end()  # what was claimed in doubt is claimed once more
        self.assertEqual(self.number("SELECT count(*) FROM spool.life WHERE rescues > 0"), 0)
        self.assertEqual(len(list(self.folder.glob("began.*"))), 1, "what ran was stopped")


if __name__ == "__main__":
    unittest.main()
