"""The output folder under all that can go wrong around it."""
import pathlib
import signal
import sqlite3
import subprocess
import sys
import unittest

from running import TranscodeTest, digests, kill, make_film, mount_namespace


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
        database = out / ".spool/spool.db"
        self.until(lambda: process.poll() is not None or (database.exists() and self.running_of(process.pid, database) > 0), "no chunk ever ran")
        self.assertIsNone(process.poll(), "it has ended")

    def test_a_second_run_beside_a_living_one_is_refused(self):
        out = self.folder / "out"
        first = self.start(self.film, out)
        self.addCleanup(lambda: (kill(first.pid), first.communicate()))
        self.await_running(first, out)
        kill(first.pid, signal.SIGSTOP)  # it lives, and cannot finish meanwhile
        _, said, _ = self.transcode(self.film, out, code=2)
        self.assertIn(f"{out}: another spool is at work here", said)
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
        self.stop_past_its_lease(first.pid, out / ".spool/spool.db")
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
        _, said, _ = self.transcode(self.film, out, code=2)
        self.assertIn(f"{out}: the folder is not empty and was not made", said)
        self.assertEqual([path.name for path in out.iterdir()], ["thesis.txt"])

    def test_another_film_in_the_same_folder_is_refused(self):
        out = self.folder / "out"
        self.transcode(self.film, out)
        made = digests(out)
        other = make_film(self.folder / "other.mp4", 3)
        _, said, _ = self.transcode(other, out, code=2)
        self.assertIn(f"{out}: holds another film", said)
        self.assertEqual(digests(out), made)

    def test_a_store_of_a_newer_schema_is_refused_in_words(self):
        out = self.folder / "out"
        self.transcode(self.film, out)
        store = sqlite3.connect(out / ".spool/spool.db")
        store.execute("PRAGMA user_version = 999")
        store.close()
        made = digests(out)
        _, said, _ = self.transcode(self.film, out, code=2)
        self.assertIn(f"{out}/.spool/spool.db: ", said)
        self.assertIn("newer", said)
        self.assertEqual(digests(out), made)


class FullOrForbidden(TranscodeTest):
    def in_namespace(self, mount, script, *words):
        """Runs `script` (sh) in a mount namespace of its own, after `mount`."""
        return subprocess.run([*mount_namespace(), "sh", "-ec", f"{mount}\n{script}", "sh", *map(str, words)], capture_output=True, text=True,
                              timeout=300)

    def segments(self, out):
        return {f"{playlist.parent.name}/{line}" for playlist in out.rglob("*.m3u8") for line in playlist.read_text().splitlines()
                if line.endswith(".m4s")}

    def test_a_full_disk_in_the_middle_fails_in_words_leaves_no_half_file_and_with_room_the_same_command_goes_on(self):
        film = make_film(self.folder / "film.mp4", 48)
        self.transcode(film, self.folder / "undisturbed")
        made = sum(path.stat().st_size for path in (self.folder / "undisturbed").rglob("*.m4s"))
        self.assertGreater(made, 3 << 20, "too little beside the store's own files")
        small, full, whole = (self.folder / name for name in ("small", "full", "whole"))
        small.mkdir()
        done = self.in_namespace(
            f"mount -t tmpfs -o size={made // 2} tmpfs {small}",
            f'"$@" && code=0 || code=$?; echo "code=$code"; cp -r {small}/out {full}; mount -o remount,size=1g {small}; "$@" >&2; cp -r {small}/out {whole}',
            *self.command(film, small / "out"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"code=1\b", done.stderr)
        self.assertRegex(done.stderr, r"(?i)no space left|disk is full")
        self.assertIn("make room on the disk and run the same command again", done.stderr)
        self.assertGreater(len(self.segments(full)), 0, "it was full before anything was published")
        self.assertLess(self.segments(full), self.segments(whole))
        check = subprocess.run([sys.executable, pathlib.Path(__file__).with_name("whole_so_far.py"), full], capture_output=True, text=True)
        self.assertEqual(check.stdout, "whole so far\n", check.stderr)
        self.assertEqual(digests(whole), digests(self.folder / "undisturbed"))
        self.assert_folder_is_whole(whole)

    def test_a_read_only_folder_is_refused_in_words(self):
        film = make_film(self.folder / "film.mp4", 2)
        locked = self.folder / "locked"
        locked.mkdir()
        done = self.in_namespace(f"mount -t tmpfs -o ro tmpfs {locked}", '"$@"', *self.command(film, locked / "out"))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(str(locked), done.stderr)
        self.assertRegex(done.stderr, r"(?i)read-only|permission")


if __name__ == "__main__":
    unittest.main()
