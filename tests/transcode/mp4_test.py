"""--mp4: progressive files out of a ladder's segments, which other programs play."""
import hashlib
import signal
import struct
import subprocess
import time
import unittest

from made import MadeTest, digests, ffmpeg, ffprobe, kill, make_film, mount_namespace

SECONDS, FPS = 14, 25
FLASH = 3.0  # where the picture is white and the sound beeps


def boxes(path):
    """Names of the top-level boxes, in order."""
    names = []
    with open(path, "rb") as file:
        while header := file.read(8):
            size, name = struct.unpack(">I4s", header)
            size = struct.unpack(">Q", file.read(8))[0] - 8 if size == 1 else size
            file.seek(size - 8, 1)
            names.append(name.decode())
    return names


def decoded(path, *words):
    """Raw frames or samples, as ffmpeg plays them; nothing on stderr means that nothing was wrong."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-nostdin", "-i", path, *words, "-"], capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout


def first_flash(path):
    frames = decoded(path, "-map", "0:v", "-vf", "scale=1:1", "-pix_fmt", "gray", "-f", "rawvideo")
    return next(i for i, luma in enumerate(frames) if luma > 180) / FPS, len(frames)


def first_beep(path):
    samples = memoryview(decoded(path, "-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "s16le")).cast("h")
    return next(i for i, sample in enumerate(samples) if abs(sample) > 3000) / 48000, len(samples) / 48000


class Mp4(MadeTest):
    def flashing_film(self, path, *output):
        on = f"between(t\\,{FLASH}\\,{FLASH + 0.2})"
        ffmpeg("-f", "lavfi", "-i", f"color=black:s=426x240:r={FPS}:d={SECONDS},noise=alls=10:allf=t:all_seed=1,"
               f"drawbox=c=white:t=fill:enable='{on}'", "-f", "lavfi", "-i",
               f"aevalsrc=0.5*sin(2*PI*1000*t)*{on}:s=48000:d={SECONDS}", "-c:v", "libx264", "-preset", "ultrafast", "-g", 50,
               "-c:a", "aac", *output, path)
        return path

    def test_the_files_play_with_moov_first_and_picture_and_sound_together(self):
        out = self.folder / "out"
        document, _, _ = self.transcode(self.flashing_film(self.folder / "film.mp4"), out, "--mp4")
        self.assert_passes_rfc8216(out)
        self.assertEqual(document["result"]["outputs"], {
            "master": "object:master.m3u8", "mp4": "object:video.mp4", "m4a": "object:audio.m4a"})
        self.assertEqual(document["result"]["output"], "master")
        self.assertEqual(boxes(out / "video.mp4"), ["ftyp", "moov", "mdat"])
        self.assertEqual(boxes(out / "audio.m4a"), ["ftyp", "moov", "mdat"])

        film = ffprobe(out / "video.mp4")
        self.assertEqual([s["codec_name"] for s in film["streams"]], ["h264", "aac"])
        self.assertEqual((film["streams"][0]["width"], film["streams"][0]["height"]), (426, 240))
        self.assertEqual(int(film["streams"][0]["nb_frames"]), SECONDS * FPS)
        for stream in film["streams"]:
            self.assertAlmostEqual(float(stream["start_time"]), 0, delta=0.001)
            self.assertAlmostEqual(float(stream["duration"]), SECONDS, delta=0.03)
        self.assertAlmostEqual(float(film["format"]["duration"]), SECONDS, delta=0.03)
        sound = ffprobe(out / "audio.m4a")
        self.assertEqual([s["codec_name"] for s in sound["streams"]], ["aac"])
        self.assertAlmostEqual(float(sound["format"]["duration"]), SECONDS, delta=0.03)

        flash, frames = first_flash(out / "video.mp4")
        self.assertEqual(frames, SECONDS * FPS)
        self.assertAlmostEqual(flash, FLASH, delta=0.001)
        for name in ("video.mp4", "audio.m4a"):
            beep, length = first_beep(out / name)
            self.assertAlmostEqual(beep, FLASH, delta=0.01)
            self.assertAlmostEqual(length, SECONDS, delta=0.03)

    def test_a_trimmed_film_is_trimmed_in_its_files_too(self):
        out = self.folder / "out"
        self.transcode(self.flashing_film(self.folder / "film.mp4"), out, "--mp4", "--start", "1s", "--end", "7s")
        flash, frames = first_flash(out / "video.mp4")
        self.assertEqual(frames, 6 * FPS)
        self.assertAlmostEqual(flash, FLASH - 1, delta=0.001)
        self.assertAlmostEqual(first_beep(out / "video.mp4")[0], FLASH - 1, delta=0.01)

    def test_a_film_without_sound_gives_no_m4a_and_sound_alone_no_mp4(self):
        film = self.flashing_film(self.folder / "film.mkv")
        for words, outputs in ((("-an",), {"master", "mp4"}), (("-vn",), {"master", "m4a"})):
            part, out = self.folder / f"part{words[0]}.mkv", self.folder / f"out{words[0]}"
            ffmpeg("-i", film, "-c", "copy", *words, part)
            document, _, _ = self.transcode(part, out, "--mp4")
            self.assertEqual(set(document["result"]["outputs"]), outputs)
            for output, name in (("mp4", "video.mp4"), ("m4a", "audio.m4a")):
                self.assertEqual((out / name).exists(), output in outputs)
            for name in document["result"]["outputs"].values():
                decoded(out / name.removeprefix("object:"), "-f", "null")

    def test_files_are_made_only_on_request(self):
        out = self.folder / "out"
        document, _, _ = self.transcode(make_film(self.folder / "film.mp4", 2), out)
        self.assertEqual(document["result"]["outputs"], {"master": "object:master.m3u8"})
        self.assertEqual((list(out.glob("*.mp4")), list(out.glob("*.m4a"))), ([], []))

    def test_kills_at_the_end_change_no_byte_and_leave_no_traces(self):
        film = make_film(self.folder / "film.mp4", 30)
        (self.folder / "film.srt").write_text("1\n00:00:01,000 --> 00:00:09,000\nover borders\n")
        asked = ("--mp4", "--loudness", "-20", "--subtitles", f"{self.folder}/film.srt:en")
        self.transcode(film, self.folder / "undisturbed", *asked)
        expected = digests(self.folder / "undisturbed")
        self.assertTrue({"video.mp4", "audio.m4a", "subtitles-en/all.vtt"} <= set(expected))
        out = self.folder / "out"
        # Each run lives until it has reached the next of these, or a little longer: all that follows the first segment.
        for sign in ("subtitles-en/playlist.m3u8", "240p/playlist.m3u8", "manifest.mpd", "master.m3u8", "video.mp4"):
            for longer in (0, 0.03, 0.06):
                self.run_until(film, out, asked, out / sign, longer)
        self.transcode(film, out, *asked)
        self.assertEqual(digests(out), expected)
        self.assertEqual([str(path) for path in out.rglob(".spool/attempts/*/*")], [])

    def run_until(self, film, out, asked, sign, longer):
        process = self.start(film, out, *asked)
        deadline = time.monotonic() + 120
        while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        try:
            process.wait(longer)
        except subprocess.TimeoutExpired:
            kill(process.pid, signal.SIGKILL)
        process.communicate()

    def test_a_disk_that_fills_up_meanwhile_leaves_no_half_file_and_the_same_command_goes_on(self):
        film = make_film(self.folder / "film.mp4", 16)
        self.transcode(film, self.folder / "undisturbed")
        self.transcode(film, self.folder / "whole", "--mp4")
        small = self.folder / "small"
        small.mkdir()
        used = int(subprocess.run(["du", "-sk", self.folder / "undisturbed"], capture_output=True, text=True, check=True).stdout.split()[0])
        room = used + (self.folder / "whole/video.mp4").stat().st_size // 3072
        script = (f'mount -t tmpfs -o size={room}k tmpfs {small}; "$@" && code=0 || code=$?; echo code=$code; '
                  f"ls {small}/out; mount -o remount,size=64m {small}; " + f'"$@" >&2; cp -r {small}/out {self.folder}/after')
        done = subprocess.run([*mount_namespace(), "sh", "-ec", script, "sh", *self.command(film, small / "out", "--mp4")],
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"code=[13]\b", done.stderr)
        self.assertIn("master.m3u8", done.stdout)  # the ladder was finished before
        self.assertNotIn("video.mp4", done.stdout.split("code=")[1])
        self.assertRegex(done.stderr, r"(?i)no space left|full")
        self.assertEqual(digests(self.folder / "after"), digests(self.folder / "whole"))

    def test_the_same_bytes_again(self):
        film = make_film(self.folder / "film.mp4", 6)
        made = []
        for slots in (1, 2):
            out = self.folder / f"out{slots}"
            self.transcode(film, out, "--mp4", slots=slots)
            made.append(hashlib.sha256((out / "video.mp4").read_bytes() + (out / "audio.m4a").read_bytes()).hexdigest())
        self.assertEqual(made[0], made[1])


if __name__ == "__main__":
    unittest.main()
