"""`spool transcode`: what it is asked with, which folder it takes, what it says."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from support import SOURCE, SPOOL, CliTest

LADDER = """rungs:
  - {name: 120p, short_side: 120, codec: h264, crf: 30, max_bits_per_second: 200000}
"""


def make_film(path, seconds, size="320x240"):
    subprocess.run(["ffmpeg", "-y", "-v", "error", "-nostdin", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}",
                    "-c:v", "libx264", "-preset", "ultrafast", path], check=True)
    return path


def another_build(path):
    """The same program with a byte more at its end."""
    shutil.copy(SPOOL, path + ".new")
    with open(path + ".new", "ab") as program:
        program.write(b"\n")
    os.replace(path + ".new", path)  # the old one may still run
    return path


def setUpModule():
    global kept, film
    kept = tempfile.TemporaryDirectory(prefix="spool-cli-film-")
    film = make_film(os.path.join(kept.name, "film.mp4"), 2)


def tearDownModule():
    kept.cleanup()


class Transcode(CliTest):
    def setUp(self):
        super().setUp()
        self.write("tiny.yaml", LADDER)

    def transcode(self, *words, source=None, **how):
        return self.spool("transcode", source or film, "-o", "out", "--ladder", "./tiny.yaml", *words, **how)

    def files(self):
        """All that people use in the output folder."""
        return sorted(name for folder, _, names in os.walk(os.path.join(self.folder, "out")) for name in names if ".spool" not in folder)

    def test_a_ladder_of_the_ladder_folder_is_found_by_its_name(self):
        os.mkdir(os.path.join(self.folder, "ladders"))
        self.write("ladders/mine.yaml", LADDER)
        words = ["transcode", film, "--ladder", "mine", "-o"]
        self.assertIn("there is no ladder", self.spool(*words, "none", code=2).err)
        self.spool(*words, "by_variable", SPOOL_LADDERS="ladders")
        self.write("other.toml", "ladders = 'ladders'\n")
        self.spool(*words, "by_flag", "--config", "other.toml")
        os.rename(os.path.join(self.folder, "other.toml"), os.path.join(self.folder, "spool.toml"))
        self.spool(*words, "by_file")

    def test_a_folder_where_runs_failed_takes_the_corrected_command(self):
        self.write("broken.mp4", "this is no film of any kind")
        self.transcode(source="broken.mp4", code=1)
        self.transcode("--start", "100s", code=1)
        self.transcode()
        self.assertIn("master.m3u8", self.files())
        jobs = self.spool("jobs", "--store", "sqlite:out/.spool/spool.db", "--json").json["jobs"]
        self.assertEqual([job["state"] for job in jobs], ["succeeded"])

    def test_a_command_that_failed_comes_again_after_another_that_failed_too(self):
        first = self.transcode("--start", "100s", code=1).err
        second = self.transcode("--start", "200s", code=1).err
        self.assertEqual(self.transcode("--start", "100s", code=1).err, first)
        self.assertEqual(self.transcode("--start", "200s", code=1).err, second)
        self.transcode()

    def test_a_folder_with_a_film_takes_no_other_command(self):
        self.transcode()
        made = self.files()
        self.assertIn("holds another film", self.transcode("--start", "1s", code=2).err)
        self.assertEqual(self.files(), made)

    def test_a_default_that_is_written_out_is_the_same_command(self):
        first = self.transcode("--json").json
        self.assertEqual(self.transcode("--remux", "auto", "--json").json["id"], first["id"])

    def test_the_job_of_a_folder_is_shown_by_its_folder(self):
        made = self.transcode("--json").json
        shown = self.spool("show", "out", "--json").json
        self.assertEqual((shown["id"], shown["state"]), (made["id"], "succeeded"))
        os.mkdir(os.path.join(self.folder, "empty"))
        self.assertIn("is no id of a job", self.spool("show", "empty", "--store", f"sqlite:{self.folder}/out/.spool/spool.db", code=2).err)

    def test_a_folder_with_files_of_a_failed_run_takes_no_other_command(self):
        self.transcode("--start", "100s", code=1)
        self.write("out/kept.txt", "mine")
        self.assertIn("holds another film", self.transcode(code=2).err)
        self.assertEqual(self.files(), ["kept.txt"])

    def test_a_broken_store_in_the_folder_is_named(self):
        os.makedirs(os.path.join(self.folder, "out/.spool"))
        self.write("out/.spool/spool.db", "this is a text, and not a database of any kind")
        self.assertIn("out/.spool/spool.db: ", self.transcode(code=3).err)

    def test_another_build_does_not_go_on_with_the_chunks_of_this_one(self):
        self.transcode()
        program = another_build(os.path.join(self.folder, "rebuilt"))
        words = [program, "transcode", film, "-o", "out", "--ladder", "./tiny.yaml"]
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, env=self.environment(), timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("another build of spool", done.stderr)

    def test_an_error_is_told_of_what_failed_and_not_of_what_succeeded(self):
        # Without bwrap there is no sandbox: the job fails, and is opened again by the same command.
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
        words = [SPOOL, "transcode", film, "-o", "out", "--ladder", "./tiny.yaml", "--json"]
        done = subprocess.run([*unshare, "sh", "-ec", 'mount --bind /dev/null "$(command -v bwrap)"; exec "$@"', "sh", *words],
                              cwd=self.folder, capture_output=True, text=True, env=self.environment(), timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn('"error"', done.stdout)
        self.assertIn("sandbox", done.stdout)
        unsafe = [word if word != "out" else "unsafe" for word in words]
        done = subprocess.run([*unshare, "sh", "-ec", 'mount --bind /dev/null "$(command -v bwrap)"; exec "$@"', "sh",
                               *unsafe, "--unsafe-no-sandbox"],
                              cwd=self.folder, capture_output=True, text=True, env=self.environment(), timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.exists(os.path.join(self.folder, "unsafe/master.m3u8")))
        answer = self.transcode("--json").json
        self.assertEqual(set(answer), {"id", "state", "folder", "result"})

    def test_the_two_speeds_are_not_the_same(self):
        for speed in ("fast", "balanced"):
            self.spool("transcode", film, "-o", speed, "--ladder", "./tiny.yaml", "--remux", "never", "--speed", speed)

        def video(folder):
            return [path.read_bytes() for path in sorted(pathlib.Path(self.folder, folder).glob("*p/0*.m4s"))]
        self.assertTrue(video("fast"))
        self.assertEqual(len(video("fast")), len(video("balanced")))
        self.assertNotEqual(video("fast"), video("balanced"))

    def test_ctrl_c_while_the_source_is_read_ends_it_in_words(self):
        with open(os.path.join(self.folder, "huge.mp4"), "wb") as file:
            file.truncate(1 << 40)  # a hole: minutes to read, nothing on the disk
        words = [SPOOL, "transcode", "huge.mp4", "-o", "out", "--json"]
        running = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=self.environment())
        self.addCleanup(running.kill)
        deadline = time.monotonic() + 20
        while not os.path.exists(os.path.join(self.folder, "out/.spool/spool.db")) and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
        self.assertEqual(running.returncode, 3, err)
        self.assertIn("run the same command again to go on", err)
        self.assertIn('"code":"cancelled"', out)


class Demo(CliTest):
    """scripts/demo with everything built and its film there."""

    def setUp(self):
        super().setUp()
        for name in ("scripts", "build/release"):
            os.makedirs(os.path.join(self.folder, name))
        shutil.copy(os.path.join(SOURCE, "scripts/demo"), os.path.join(self.folder, "scripts/demo"))
        for name in ("scripts/setup", "scripts/build"):
            os.chmod(os.path.join(self.folder, self.write(name, "#!/bin/sh\n")), 0o755)
        shutil.copy(SPOOL, os.path.join(self.folder, "build/release/spool"))
        shutil.copy(film, os.path.join(self.folder, "build/demo-source.mp4"))

    def demo(self, *words):
        environment = {key: value for key, value in self.environment().items() if key != "SPOOL"}  # the one that is built
        return subprocess.run(["scripts/demo", *words], cwd=self.folder, capture_output=True, text=True, env=environment, timeout=120)

    def test_makes_its_own_folder_anew_after_a_rebuild_and_no_other(self):
        for words in ([], ["mine"]):
            done = self.demo(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
        another_build(os.path.join(self.folder, "build/release/spool"))
        done = self.demo()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("build/demo was made by another build", done.stdout)
        self.assertNotIn("another build", self.demo().stdout)
        self.assertEqual(self.demo("mine").returncode, 2)

    def test_leaves_its_folder_alone_when_the_program_fails_otherwise(self):
        self.write("build/demo-source.mp4", "no film")
        self.assertEqual(self.demo().returncode, 1)
        self.assertEqual(self.demo().returncode, 1)


if __name__ == "__main__":
    unittest.main()
