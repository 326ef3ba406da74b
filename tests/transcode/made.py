"""What the tests of `spool transcode` share, beside what the crash tests do: looking at what was made."""
import json
import os
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "crash"))
from running import SPOOL, TranscodeTest, descendants, digests, ffmpeg, kill, make_film, mount_namespace  # noqa: E402,F401


def ffprobe(path, *words):
    """What ffprobe says as JSON."""
    done = subprocess.run(["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", *words, path],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


class MadeTest(TranscodeTest):
    def lines(self, path, beginning=""):
        return [line for line in pathlib.Path(path).read_text().splitlines() if line.startswith(beginning)]

    def read_store_files(self, folder):
        return sorted(name for _, _, names in os.walk(folder) for name in names)
