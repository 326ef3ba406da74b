"""What fleet.py says of histories that a broken store would write."""
import unittest

from fleet import FleetTest

CLAIM = ("claimed", "1", "t1", "s1", "10")
LEFT = ("left", "1", "t1", "s1", "11")
END = ("ended", "1", "t1", "", "11")


class History(unittest.TestCase):
    def refused(self, says, *events):
        with self.assertRaisesRegex(AssertionError, says):
            FleetTest().check_history(events)

    def test_an_attempt_that_ends_its_job_is_in_order(self):
        FleetTest().check_history([CLAIM, LEFT, ("claimed", "1", "t2", "s2", "12"), ("left", "1", "t2", "s2", "13"),
                                   ("ended", "1", "t2", "", "13")])

    def test_an_attempt_may_be_handed_over(self):
        handed = ("handed over", "1", "t1", "s2", "11")
        FleetTest().check_history([CLAIM, handed, ("left", "1", "t1", "s2", "12"), ("ended", "1", "t1", "", "12")])
        self.refused("what it did not hold", CLAIM, handed, ("left", "1", "t1", "s1", "12"))
        self.refused("was not held", handed)
        self.refused("was not held", CLAIM, ("handed over", "1", "t2", "s2", "11"))

    def test_what_is_wrong_is_named(self):
        self.refused("another attempt held it", CLAIM, ("claimed", "1", "t2", "s2", "12"))
        self.refused("what it did not hold", CLAIM, ("left", "1", "t2", "s2", "11"))
        self.refused("what it did not hold", CLAIM, LEFT, LEFT)
        self.refused("still held", CLAIM)

    def test_an_end_by_a_stale_token_is_found(self):
        again = [("claimed", "1", "t2", "s2", "12"), ("left", "1", "t2", "s2", "13")]
        self.refused("stale token", CLAIM, LEFT, *again, ("ended", "1", "t1", "", "13"))
        self.refused("stale token", CLAIM, LEFT, ("ended", "1", "t1", "", "12"))
        self.refused("stale token", END)


if __name__ == "__main__":
    unittest.main()
