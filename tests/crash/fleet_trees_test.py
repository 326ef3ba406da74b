"""Thousands of small jobs in trees of three levels, with retries and cancels, by four worker processes while servers, processes and
connections fail at random, and the clocks of two workers are off by an hour: at the end every tree is in the state that the
reference model says (tests/model), in its first life and, after a retry of what failed, in its second.

SPOOL_CHAOS_JOBS (1000) says how many jobs there are, 10000 is the full size; SPOOL_CHAOS_FAULTS (12) how many faults, a quarter of
them in the second life; SPOOL_CHAOS_SEED repeats a run.
"""
import os
import pathlib
import subprocess
import tempfile
import unittest

from fleet import HISTORY, SEED, Faults, FleetTest, say
from running import SPOOL

JOBS = int(os.environ.get("SPOOL_CHAOS_JOBS", "1000"))
FAULTS = int(os.environ.get("SPOOL_CHAOS_FAULTS", "12"))
TREES = os.environ.get("SPOOL_SCRIPTED_TREES", "build/dev/tests/crash/scripted_trees")
SLOTS = 12  # of each worker
LONGEST = 40  # seconds that a fault lasts
REST = 1.5  # seconds between two at most
HOUR = 3600
# A checkpoint is the token of the attempt that wrote it.
CHECKPOINTS = """
CREATE FUNCTION history.checkpointed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM spool.running r WHERE r.seq = new.seq
                 AND replace(r.token::text, '-', '') = new.value::json ->> 'token') THEN
    INSERT INTO history.event (what, seq) VALUES ('stale', new.seq);
  END IF;
  RETURN NULL; END $$;
CREATE TRIGGER history_checkpointed AFTER INSERT OR UPDATE ON spool.checkpoint FOR EACH ROW EXECUTE FUNCTION history.checkpointed();
"""


class Trees(FleetTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="spool-fleet-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.second = self.folder / "second"

    def command(self, what, url, *more):
        return [TREES, what, url, str(SEED % (1 << 31)), str(JOBS), *map(str, more)]

    def worker(self, database, ways):
        host, port = ways["PostgreSQL"]
        return self.command("work", self.postgres.url(database, port, host), SLOTS, self.second), {}

    def trees(self, what, *more):
        done = subprocess.run(self.command(what, self.postgres.url("trees"), *more), capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-4000:]}\n{done.stderr}\n{self.what_workers_said()}")
        say(done.stderr.rstrip())

    def all_ended(self):
        left = "SELECT EXISTS (SELECT 1 FROM spool.ready) OR EXISTS (SELECT 1 FROM spool.parked) OR EXISTS (SELECT 1 FROM spool.running)"
        return self.postgres.ask(left, "trees") == [["f"]]

    def live(self, faults, most):
        done = self.disturb("trees", faults, most, REST, self.all_ended)
        say(f"  {done} faults")

    def test_every_tree_ends_as_the_reference_model_says(self):
        self.postgres.ask("CREATE DATABASE trees")
        subprocess.run([SPOOL, "migrate", "--store", self.postgres.url("trees")], check=True, stdout=subprocess.DEVNULL, timeout=60)
        self.postgres.ask(HISTORY + CHECKPOINTS, "trees")
        self.trees("plant")
        self.start_fleet(self.folder, "trees", self.worker, clocks=(0, HOUR, -HOUR, 0))
        faults = Faults(self.chance, self.workers, self.postgres, LONGEST, children=False)
        with subprocess.Popen(self.command("cancel", self.postgres.url("trees"))) as cancelling:
            self.stack.callback(cancelling.kill)
            self.live(faults, FAULTS - FAULTS // 4)
            self.assertEqual(cancelling.wait(60), 0)
        self.trees("compare", "first")
        self.second.touch()
        self.trees("retry")
        self.live(faults, FAULTS // 4)
        self.drain_fleet()
        self.trees("compare", "second")
        self.assert_nothing_was_lost_or_settled_twice("trees")
        self.assertEqual(self.postgres.ask("SELECT count(*) FROM history.event WHERE what = 'stale'", "trees"), [["0"]],
                         "a stale token has checkpointed")


if __name__ == "__main__":
    unittest.main()
