"""The early start: what a growing presentation promises before all is made, and what stands in its way."""
import json
import shutil
import subprocess
import sys
import time
import unittest

from made import TESTS, MadeTest, ffmpeg, make_film

CODED = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p", "-c:a", "aac")


class Early(MadeTest):
    def film_with_tracks(self, name="film.mkv", seconds=40, default=1):
        """Three tracks, of which the second is the default."""
        inputs, maps = ["-f", "lavfi", "-i", f"testsrc2=s=426x240:r=25:d={seconds},noise=alls=6:allf=t:all_seed=1"], ["-map", "0"]
        for track in range(3):
            inputs += ["-f", "lavfi", "-i", f"sine={300 + 100 * track}:r=48000:d={seconds}"]
            maps += ["-map", str(track + 1), f"-disposition:a:{track}", "default" if track == default else "0"]
        ffmpeg(*inputs, *maps, *CODED, "-g", "50", self.folder / name)
        return self.folder / name

    def children(self, out, kind=None):
        return [child for child in self.tree(out)["children"] if kind in (None, child["kind"])]

    def first_master(self, film, out, *more):
        """Stops at the first master playlist; gives its text, and how many chunks were still to be made."""
        process = self.start(film, out, *more, slots=1)
        try:
            deadline = time.monotonic() + 240
            while not (out / "master.m3u8").exists():
                self.assertIsNone(process.poll(), "it ended without a master playlist")
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.002)
            process.terminate()
        finally:
            process.communicate()
        self.assertNotEqual(process.returncode, 0, "it was done before it could be stopped")
        left = [c for c in self.children(out, "transcode.chunk") if c["state"] != "succeeded"]
        return (out / "master.m3u8").read_text(), len(left)

    def bandwidths(self, master):
        """{uri: BANDWIDTH}"""
        lines = master.splitlines()
        return {lines[i + 1]: int(line.split("BANDWIDTH=")[1].split(",")[0])
                for i, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF:")}

    def test_with_several_tracks_of_sound_the_master_stands_long_before_the_last_chunk(self):
        out = self.folder / "out"
        _, left = self.first_master(self.film_with_tracks(), out)
        self.assertGreater(left, 2)
        checked = subprocess.run([sys.executable, "-B", TESTS / "hls/rfc8216_check", out, "--growing"], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout)
        order = [(child["kind"], child["name"]) for child in self.children(out)]
        self.assertEqual([kind for kind, _ in order[:4]], ["transcode.chunk"] + 3 * ["transcode.audio"])
        self.assertEqual(order[1][1], "audio-und-2")  # the default first

    def test_no_segment_exceeds_what_the_first_master_said(self):
        rungs = [{"name": "240p", "short_side": 240, "codec": "h264", "crf": 10, "max_bits_per_second": 500000},
                 {"name": "144p", "short_side": 144, "codec": "h264", "crf": 10, "max_bits_per_second": 200000, "buffer_bits": 800000}]
        self.ladder.write_text(json.dumps({"name": "capped", "audio_bits_per_second": 64000, "segment_seconds": 2, "gop_seconds": 2,
                                           "rungs": rungs}))
        # Quiet, then noise: the buffer is full when the noise begins. No sound, whose own bound is generous.
        film = self.folder / "film.mp4"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=426x240:r=25:d=30,noise=alls=90:allf=t:all_seed=1:enable='gte(mod(t,8),5)'",
               *CODED, "-g", "50", film)
        out, early = self.folder / "out", self.folder / "early.m3u8"
        self.first_master(film, out)
        shutil.copy(out / "master.m3u8", early)
        self.transcode(film, out)
        self.assert_passes_rfc8216(out)
        promised, made = self.bandwidths(early.read_text()), self.bandwidths((out / "master.m3u8").read_text())
        self.assertEqual(promised.keys(), made.keys())
        for uri, most in made.items():
            self.assertLessEqual(most, promised[uri], uri)
        # It is a bound that matters: without the buffer's share it would not hold.
        self.assertGreater(made["240p/playlist.m3u8"], 500000)

    def test_sound_is_copied_only_where_a_picture_is_too_or_there_is_none(self):
        def remux_of(film, out, *more):
            self.transcode(film, out, *more)
            return [child["args"]["remux"] for child in self.children(out, "transcode.audio")]

        film = make_film(self.folder / "film.mp4", 6, size="640x360")  # no rung of its size
        sound = self.folder / "sound.m4a"
        ffmpeg("-i", film, "-vn", "-c", "copy", sound)
        same = make_film(self.folder / "same.mp4", 6)
        rungs = [{"name": "240p", "short_side": 240, "codec": "h264", "crf": 23, "max_bits_per_second": 8000000}]
        self.ladder.write_text(json.dumps({"name": "one", "audio_bits_per_second": 128000, "segment_seconds": 4, "gop_seconds": 2,
                                           "rungs": rungs}))
        self.assertEqual(remux_of(film, self.folder / "encoded", "--remux", "auto"), [False])
        self.assertEqual(remux_of(same, self.folder / "remuxed", "--remux", "auto"), [True])
        self.assertEqual(remux_of(sound, self.folder / "alone", "--remux", "auto"), [True])
        self.assertEqual(remux_of(same, self.folder / "never", "--remux", "never"), [False])

    def test_the_frame_rate_declared_is_the_highest(self):
        film = self.folder / "film.mkv"
        # 10 frames a second, and 50 of them in the third second.
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=426x240:r=50:d=6", "-vf", "select='between(t,2,3)+not(mod(n,5))'", "-fps_mode", "vfr",
               "-c:v", "libx264", "-preset", "ultrafast", film)
        out = self.folder / "out"
        self.transcode(film, out)
        rates = {line.split("FRAME-RATE=")[1].split(",")[0] for line in self.lines(out / "master.m3u8", "#EXT-X-STREAM-INF")}
        self.assertEqual(rates, {"50.000"})


if __name__ == "__main__":
    unittest.main()
