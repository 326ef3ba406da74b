"""What the crash tests share: a film, `spool transcode` as a process whose children can be found, and what its folder and
store hold afterwards. Python's standard library only."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

CHECK = pathlib.Path(__file__).resolve().parents[1] / "hls/rfc8216_check"
SPOOL = os.environ.get("SPOOL", "build/dev/spool")
SUCCEEDED = 5  # State::kSucceeded, as the store writes it
LADDER = {
    "name": "crash", "audio_bits_per_second": 128000, "segment_seconds": 4, "gop_seconds": 2,
    "rungs": [{"name": f"{side}p", "short_side": side, "codec": "h264", "crf": 23, "max_bits_per_second": rate}
              for side, rate in ((240, 800000), (144, 300000))],
}


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-y", "-v", "error", "-nostdin", *map(str, words)], check=True)


def make_film(path, seconds, size="426x240"):
    """Moving, noisy, with sound: no two chunks are alike."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds},noise=alls=6:allf=t:all_seed=1", "-f", "lavfi", "-i",
           f"aevalsrc=0.3*sin(2*PI*(300+20*floor(t))*t):s=48000:d={seconds}", "-c:v", "libx264", "-preset", "ultrafast", "-g", "75",
           "-crf", "20", "-c:a", "aac", path)
    return path


def descendants(pid):
    """Living processes below `pid`, the nearest first."""
    found, queue = [], [pid]
    while queue:
        parent = queue.pop(0)
        try:
            lists = [pathlib.Path(f"/proc/{parent}/task/{task}/children") for task in os.listdir(f"/proc/{parent}/task")]
            below = [int(child) for children in lists for child in children.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += below
        queue += below
    return found


def kill(pid, sign=signal.SIGKILL):
    try:
        os.kill(pid, sign)
        return True
    except ProcessLookupError:
        return False


def mount_namespace():
    """The words that begin a command which may mount: as root, or as one in a user namespace."""
    for words in (["unshare", "-m"], ["unshare", "-Urm"]):
        if subprocess.run([*words, "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True).returncode == 0:
            return words
    raise AssertionError("no tmpfs can be mounted here, neither by unshare -m nor by unshare -Urm")


def digests(folder):
    """{file: digest} of all that people use in an output folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file() and ".spool" not in path.relative_to(folder).parts
    }


class TranscodeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="spool-crash-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.ladder = self.folder / "crash.yaml"
        self.ladder.write_text(json.dumps(LADDER))  # JSON is YAML

    def command(self, film, out, *more, slots=2):
        """All is encoded unless a test asks for more."""
        if "--remux" not in more:
            more = ("--remux", "never", *more)
        return [SPOOL, "transcode", str(film), "-o", str(out), "--ladder", str(self.ladder), "--slots", str(slots), "--json", *more]

    def start(self, film, out, *more, slots=2):
        return subprocess.Popen(self.command(film, out, *more, slots=slots), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.DEVNULL, text=True)

    def transcode(self, film, out, *more, code=0, slots=2):
        """Runs to the end; gives (result document or None, stderr, exit code). What was made is as RFC 8216 wants it."""
        done = subprocess.run(self.command(film, out, *more, slots=slots), capture_output=True, text=True, timeout=600)
        said = f"exit {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        if code is not None:
            self.assertIn(done.returncode, code if isinstance(code, tuple) else (code,), said)
        if done.returncode == 0:
            self.assert_passes_rfc8216(out)
        return (json.loads(done.stdout) if done.stdout.strip() else None), done.stderr, done.returncode

    def tree(self, out):
        """The job's tree, as `spool show --json` tells it."""
        with self.store(out) as store:
            root = store.execute("SELECT id FROM job WHERE parent IS NULL").fetchone()[0].hex()
        done = subprocess.run([SPOOL, "show", root, "--all", "--json", "--store", f"sqlite:{out}/.spool/spool.db", "--objects", str(out)],
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:  # ids may have to be written with dashes
            dashed = "-".join([root[:8], root[8:12], root[12:16], root[16:20], root[20:]])
            done = subprocess.run([SPOOL, "show", dashed, "--all", "--json", "--store", f"sqlite:{out}/.spool/spool.db", "--objects",
                                   str(out)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def store(self, out):
        """The store of an output folder, to be read in a with block."""
        return contextlib.closing(sqlite3.connect(f"file:{out}/.spool/spool.db?mode=ro", uri=True, timeout=30))

    def until(self, holds, what, seconds=120):
        deadline = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def running_of(self, pid, database):
        """How many parts of a film that process has claimed."""
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as store:
            if not store.execute("SELECT 1 FROM sqlite_schema WHERE name = 'running'").fetchone():
                return 0  # its first moments
            return store.execute("SELECT count(*) FROM session JOIN running USING (session) JOIN job USING (seq)"
                                 " WHERE pid = ? AND parent IS NOT NULL", (pid,)).fetchone()[0]

    def stop_past_its_lease(self, pid, database):
        """Stops a worker in the middle of its work, and moves the end of its lease behind the clock."""

        def expire():
            with contextlib.closing(sqlite3.connect(database, timeout=0.2)) as store, store:
                store.execute("UPDATE session SET expires = 1 WHERE pid = ?", (pid,))

        def expired():
            kill(pid, signal.SIGSTOP)
            try:
                expire()
                return True
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xff != sqlite3.SQLITE_BUSY:
                    raise
                kill(pid, signal.SIGCONT)  # it was stopped within a transaction, and holds the store
                return False

        self.until(expired, "the store stays locked")
        self.assertGreater(self.running_of(pid, database), 0, "it was stopped too late: nothing ran any more")

    def assert_passes_rfc8216(self, out, *more):
        done = subprocess.run([sys.executable, "-B", CHECK, out, *more], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def assert_folder_is_whole(self, out):
        """Every file that a playlist names is there, and nothing else is; the playlists are as RFC 8216 wants them."""
        out = pathlib.Path(out)
        named = {"master.m3u8", "manifest.mpd"}
        for playlist in out.rglob("*.m3u8"):
            if ".spool" in playlist.relative_to(out).parts:
                continue
            text = playlist.read_text()
            named.add(str(playlist.relative_to(out)))
            for uri in re.findall(r'URI="([^"]+)"', text) + [line for line in text.splitlines() if line and line[0] != "#"]:
                named.add(os.path.normpath(str(playlist.relative_to(out).parent / uri)))
        self.assertEqual(named, set(digests(out)))
        self.assert_passes_rfc8216(out)
