"""What `spool transcode` made, read without trusting a demuxer: times come from the boxes (tfdt, trun, elst), pictures and
sound from the ffmpeg program."""
import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "hls"))
from rfc8216 import boxes  # noqa: E402


def ffprobe(path):
    done = subprocess.run(["ffprobe", "-v", "error", "-of", "json", "-show_streams", path], capture_output=True, check=True)
    return json.loads(done.stdout)["streams"]


class Rendition:
    """All segments of a media playlist as one file, and the samples in them."""

    def __init__(self, playlist):
        text = playlist.read_text()
        parts = [playlist.parent / uri for uri in re.findall(r'^#EXT-X-MAP:URI="([^"]+)"|^([^#\n].*)$', text, re.M) for uri in uri if uri]
        self.path = playlist.with_suffix(".whole.mp4")
        self.extinf = sum(float(seconds) for seconds in re.findall(r"^#EXTINF:([\d.]+)", text, re.M))
        init = parts[0].read_bytes()
        segments = b"".join(part.read_bytes() for part in parts[1:])
        self.path.write_bytes(init + segments)
        self.init = boxes.Init(init)
        self.pts, self.holes, self.ticks = [], [], 0
        expected = None
        for fragment in boxes.fragments(segments):
            at = fragment.decode_time
            if expected not in (None, at):
                self.holes.append((expected, at))
            for duration, _, _, composition, _ in fragment.samples:
                self.pts.append((at + composition - self.init.shift) / self.init.timescale)
                at += duration
            expected = at
        self.ticks = expected - boxes.fragments(segments)[0].decode_time
        self.end = (expected - self.init.shift) / self.init.timescale

    def numbers(self):
        """The number that each picture carries, in the order in which they are shown."""
        w, h = self.init.width, self.init.height
        done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", self.path, "-fps_mode", "passthrough", "-f", "rawvideo",
                               "-pix_fmt", "gray", "-"], capture_output=True, check=True)
        row = max(1, h // 32)
        starts = range(row * w, len(done.stdout), w * h)
        return [sum((done.stdout[at + (2 * bit + 1) * w // 32] >= 128) << bit for bit in range(16)) for at in starts]

    def samples(self, rate):
        done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", self.path, "-ac", "1", "-ar", str(rate), "-f", "s16le", "-"],
                              capture_output=True, check=True)
        return memoryview(done.stdout).cast("h")

    def pitch(self):
        """Of the first beep, in Hz."""
        rate, seconds = 48000, 0.05
        samples = self.samples(rate)
        begin = next(i for i, sample in enumerate(samples) if abs(sample) > 4000)
        beep = samples[begin:begin + int(rate * seconds)]
        return sum((a < 0) != (b < 0) for a, b in zip(beep, beep[1:])) / 2 / seconds

    def beeps(self):
        """Seconds on the presentation's clock at which a beep begins."""
        rate = 48000
        samples = self.samples(rate)
        # The decoder may or may not have cut the priming off.
        length = self.ticks / self.init.timescale
        whole = abs(len(samples) / rate - length) < abs(len(samples) / rate - (length + min(self.pts[0], 0)))
        begin = self.pts[0] if whole else max(self.pts[0], 0)
        found, last = [], -rate
        for i, sample in enumerate(samples):
            if abs(sample) > 4000:
                if i - last > rate // 4:
                    found.append(begin + i / rate)
                last = i
        return found
