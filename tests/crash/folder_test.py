"""The output folder under all that can go wrong around it."""
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

from running import TranscodeTest, descendants, digests, kill, make_film


class SameBytes(TranscodeTest):
    def test_one_two_and_eight_slots_make_the_same_bytes(self):
        film = make_film(self.folder / "film.mp4", 30)
        made = {}
        for slots in (1, 2, 8):
            self.transcode(film, self.folder / f"slots{slots}", slots=slots)
            self.assert_folder_is_whole(self.folder / f"slots{slots}")
            made[slots] = digests(self.folder / f"slots{slots}")
        self.assertEqual(made[1], made[2])
        self.assertEqual(made[1], made[8])


class Folder(TranscodeTest):
    def setUp(self):
        super().setUp()
        self.film = make_film(self.folder / "film.mp4", 12)

    def await_running(self, process, out):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if (out / ".spool/spool.db").exists() and descendants(process.pid):
                return
            time.sleep(0.01)
        self.fail(f"never ran: {process.communicate()}")

    def test_a_second_run_beside_a_living_one_is_refused(self):
        out = self.folder / "out"
        first = self.start(self.film, out)
        self.addCleanup(lambda: (kill(first.pid), first.communicate()))
        self.await_running(first, out)
        kill(first.pid, signal.SIGSTOP)  # it lives, and cannot finish meanwhile
        _, said, _ = self.transcode(self.film, out, code=(1, 2))
        self.assertIn(str(out), said)
        kill(first.pid, signal.SIGCONT)
        self.assertEqual(first.wait(300), 0, first.stderr.read())
        first.communicate()
        self.assert_folder_is_whole(out)

    def test_a_manager_stopped_past_its_lease_changes_nothing_afterwards(self):
        self.transcode(self.film, self.folder / "undisturbed")
        out = self.folder / "out"
        first = self.start(self.film, out)
        self.addCleanup(lambda: (kill(first.pid), first.communicate()))
        self.await_running(first, out)
        kill(first.pid, signal.SIGSTOP)
        # The lease's 30 s are passed by moving its end, in the store, behind the clock.
        store = sqlite3.connect(out / ".spool/spool.db", timeout=0)

        def expired():
            try:
                with store:
                    store.execute("UPDATE session SET expires = 1")
                return True
            except sqlite3.OperationalError:  # it was stopped in the middle of a transaction
                kill(first.pid, signal.SIGCONT)
                kill(first.pid, signal.SIGSTOP)
                return False

        deadline = time.monotonic() + 30
        while not expired():
            self.assertLess(time.monotonic(), deadline, "the store stays locked")
        store.close()
        kill(first.pid, signal.SIGCONT)
        said = first.communicate(timeout=300)
        if first.returncode != 0:  # it may give up, in words; the same command goes on
            self.assertIn("lease", said[1])
            self.transcode(self.film, out)
        self.assertEqual(digests(out), digests(self.folder / "undisturbed"))
        left = [path for path in (out / ".spool/attempts").rglob("*") if path.is_file()]
        self.assertEqual(left, [], "late files are left")

    def test_the_same_command_again_does_nothing_and_says_the_same(self):
        out = self.folder / "out"
        first, _, _ = self.transcode(self.film, out)
        made = digests(out)
        self.assertEqual(self.transcode(self.film, out)[0], first)
        self.assertEqual(digests(out), made)

    def test_a_folder_that_is_not_ours_is_refused_and_left_alone(self):
        out = self.folder / "out"
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
        _, said, _ = self.transcode(self.film, out, code=(1, 2))
        self.assertIn(str(out), said)
        self.assertEqual([path.name for path in out.iterdir()], ["thesis.txt"])

    def test_another_film_in_the_same_folder_is_refused(self):
        out = self.folder / "out"
        self.transcode(self.film, out)
        made = digests(out)
        other = make_film(self.folder / "other.mp4", 3)
        _, said, _ = self.transcode(other, out, code=(1, 2))
        self.assertIn(str(out), said)
        self.assertEqual(digests(out), made)

    def test_a_store_of_a_newer_schema_is_refused_in_words(self):
        out = self.folder / "out"
        self.transcode(self.film, out)
        store = sqlite3.connect(out / ".spool/spool.db")
        store.execute("PRAGMA user_version = 999")
        store.close()
        made = digests(out)
        _, said, _ = self.transcode(self.film, out, code=(1, 2, 3))
        self.assertIn("newer", said)
        self.assertEqual(digests(out), made)


class FullOrForbidden(TranscodeTest):
    def in_namespace(self, mount, script, *words):
        """Runs `script` (sh) in a mount namespace of its own, after `mount`."""
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
        return subprocess.run([*unshare, "sh", "-ec", f"{mount}\n{script}", "sh", *map(str, words)], capture_output=True, text=True,
                              timeout=300)

    def test_a_full_disk_in_the_middle_fails_in_words_and_leaves_no_half_file(self):
        film = make_film(self.folder / "film.mp4", 24)
        small = self.folder / "small"
        small.mkdir()
        check = pathlib.Path(__file__).with_name("whole_so_far.py")
        done = self.in_namespace(
            f"mount -t tmpfs -o size=700k tmpfs {small}",
            '"$@" && code=0 || code=$?; echo "code=$code"; exec ' + f'{sys.executable} {check} {small}/out',
            *self.command(film, small / "out"))
        self.assertIn("whole so far", done.stdout, done.stderr)
        self.assertRegex(done.stdout, r"code=[13]\b", done.stderr)
        self.assertRegex(done.stderr, r"(?i)no space left|disk is full|full")

    def test_a_read_only_folder_is_refused_in_words(self):
        film = make_film(self.folder / "film.mp4", 2)
        locked = self.folder / "locked"
        locked.mkdir()
        done = self.in_namespace(f"mount -t tmpfs -o ro tmpfs {locked}", '"$@"', *self.command(film, locked / "out"))
        self.assertIn(done.returncode, (1, 2, 3), done.stderr)
        self.assertIn(str(locked), done.stderr)
        self.assertRegex(done.stderr, r"(?i)read-only|permission")


if __name__ == "__main__":
    unittest.main()
