"""--remux: a rung of the source's size is its own frames where they fit; where not, the result says why."""
import json
import random
import re
import subprocess
import time
import unittest

from made import TESTS, MadeTest, descendants, digests, ffmpeg, kill

GOP = ("-g", "75", "-keyint_min", "75", "-sc_threshold", "0", "-flags", "+cgop")


def framemd5(path, *words, raw=None):
    """Digests of decoded frames, in order of presentation."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", "-" if raw is not None else path, "-map", "0:v:0",
                           "-fps_mode", "passthrough", *words, "-f", "framemd5", "-"], input=raw, capture_output=True, check=True)
    if done.stderr:
        raise AssertionError(done.stderr)
    return [line.split(",")[-1].strip() for line in done.stdout.decode().splitlines() if not line.startswith("#")]


class Remux(MadeTest):
    def setUp(self):
        super().setUp()
        rungs = [{"name": f"{side}p", "short_side": side, "codec": "h264", "crf": 23, "max_bits_per_second": rate}
                 for side, rate in ((240, 4000000), (144, 300000))]
        self.ladder.write_text(json.dumps({"name": "remux", "audio_bits_per_second": 128000, "segment_seconds": 4,
                                           "gop_seconds": 2, "rungs": rungs}))

    def film(self, name="film.mp4", *more, seconds=30, gop=GOP, size="426x240", encoder="libx264"):
        """B-frames three deep and a pyramid: more reordering than our own encoder's."""
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}", "-f", "lavfi", "-i",
               f"aevalsrc=0.3*sin(2*PI*(300+20*floor(t))*t):s=48000:d={seconds}", "-c:v", encoder, "-preset", "veryfast",
               "-bf", "3", "-pix_fmt", "yuv420p", *gop, "-c:a", "aac", "-b:a", "96k", *more, self.folder / name)
        return self.folder / name

    def remux(self, film, out, *more, **how):
        return self.transcode(film, out, "--remux", "auto", *more, **how)

    def notes(self, film, *more):
        out = self.folder / ("out-" + film.name)
        document, said, _ = self.remux(film, out, *more)
        self.assert_passes_rfc8216(out)
        notes = document["result"]["notes"]
        for note in notes:
            self.assertIn(note, said)
        return " ".join(notes)

    def durations(self, playlist):
        return [float(line[8:-1]) for line in self.lines(playlist, "#EXTINF:")]

    def test_the_top_rung_is_the_sources_own_frames_and_every_rung_is_cut_where_it_is(self):
        for name in ("film.mp4", "film.mkv"):
            with self.subTest(name):
                film, out = self.film(name), self.folder / f"out-{name}"
                document, _, _ = self.remux(film, out)
                self.assert_passes_rfc8216(out)
                self.assertIn("240p was remuxed", " ".join(document["result"]["notes"]))
                self.assertIn("audio-und was remuxed", " ".join(document["result"]["notes"]))
                kinds = {child["kind"] for child in self.tree(out)["children"]}
                self.assertEqual(kinds, {"transcode.chunk", "transcode.remux", "transcode.audio"})
                self.assertEqual(framemd5(out / "240p/playlist.m3u8"), framemd5(film))
                self.assertEqual(len(framemd5(out / "144p/playlist.m3u8")), 750)
                # The source's IDRs stand every 3 s: no segment of 4 s.
                self.assertEqual(self.durations(out / "240p/playlist.m3u8"), [6, 6, 6, 6, 6])
                self.assertEqual(self.durations(out / "144p/playlist.m3u8"), [6, 6, 6, 6, 6])
                self.assertEqual(len(document["result"]["damage"]), 0)

    def test_every_segment_and_every_iframe_range_decodes_alone(self):
        film, out = self.film(), self.folder / "out"
        self.remux(film, out)
        frames = framemd5(film)
        init = (out / "240p/init.mp4").read_bytes()
        segments = [out / "240p" / line for line in (out / "240p/playlist.m3u8").read_text().split() if line.endswith(".m4s")]
        self.assertEqual([digest for s in segments for digest in framemd5(None, raw=init + s.read_bytes())], frames)
        for rung in ("240p", "144p"):
            init = (out / rung / "init.mp4").read_bytes()
            ranges = re.findall(r"#EXT-X-BYTERANGE:(\d+)@(\d+)\n(\S+)", (out / rung / "iframes.m3u8").read_text())
            self.assertGreaterEqual(len(ranges), 10)
            for number, (length, offset, name) in enumerate(ranges):
                piece = (out / rung / name).read_bytes()[int(offset):int(offset) + int(length)]
                decoded = framemd5(None, raw=init + piece)
                self.assertEqual(len(decoded), 1)
                if rung == "240p":
                    self.assertEqual(decoded[0], frames[75 * number])

    def test_the_ladder_source_encodes_nothing(self):
        film, out = self.film(), self.folder / "out"
        self.ladder.write_text((TESTS.parent / "ladders/source.yaml").read_text())
        document, _, _ = self.remux(film, out, "--mp4")
        self.assert_passes_rfc8216(out)
        self.assertNotIn("transcode.chunk", {child["kind"] for child in self.tree(out)["children"]})
        self.assertEqual(framemd5(out / "source/playlist.m3u8"), framemd5(film))
        self.assertEqual(framemd5(out / "video.mp4"), framemd5(film))
        self.assertEqual(document["result"]["frames"], 750)

    def test_never_encodes_all(self):
        out = self.folder / "out"
        document, _, _ = self.transcode(self.film(seconds=8), out, "--remux", "never")
        self.assertEqual(document["result"]["notes"], [])
        self.assertEqual({child["kind"] for child in self.tree(out)["children"]}, {"transcode.chunk", "transcode.audio"})

    def test_what_does_not_fit_is_encoded_and_the_result_says_why(self):
        short = {"seconds": 10}
        open_gop = (*GOP[:6], "-x264-params", "open-gop=1")
        self.assertRegex(self.notes(self.film("open.mp4", gop=open_gop, **short)), "240p was encoded.*IDR")
        self.assertRegex(self.notes(self.film("far.mp4", gop=("-g", "250", "-keyint_min", "250", "-sc_threshold", "0"), **short)),
                         "240p was encoded.*further apart than 8 s")
        self.assertIn("8 bits", self.notes(self.film("ten.mp4", "-pix_fmt", "yuv420p10le", **short)))
        self.assertIn("above the rung's", self.notes(self.film("big.mp4", "-vf", "noise=alls=60:allf=t", "-crf", "10", **short)))
        other = self.film("other.mp4", size="400x228", **short)
        self.assertEqual(self.notes(other), "")  # no rung has its size: there is nothing to say
        film = self.film("plain.mp4", **short)
        turned = self.folder / "turned.mp4"
        ffmpeg("-i", film, "-c", "copy", "-metadata:s:v", "rotate=180", turned)
        self.assertIn("not upright", self.notes(turned))
        cut = self.folder / "cut.mp4"
        ffmpeg("-ss", "4", "-i", film, "-c", "copy", cut)
        self.assertRegex(self.notes(cut), "240p was encoded.*an edit lies inside a GOP")
        self.assertIn("only a part of it", self.notes(film, "--start", "1s"))

    def test_one_two_and_eight_slots_and_kills_make_the_same_bytes(self):
        film = self.film(seconds=150)
        expected = None
        for slots in (1, 2, 8):
            began = time.monotonic()
            self.remux(film, self.folder / f"slots{slots}", slots=slots)
            seconds = time.monotonic() - began
            made = digests(self.folder / f"slots{slots}")
            self.assertEqual(made, expected or made)
            expected = made
        self.assertEqual(len([c for c in self.tree(self.folder / "slots1")["children"] if c["kind"] == "transcode.remux"]), 3)
        out, chance = self.folder / "killed", random.Random(7)
        for _ in range(4):
            process = self.start(film, out, "--remux", "auto")
            try:
                process.wait(chance.uniform(0.1, seconds / 2))
            except subprocess.TimeoutExpired:
                for victim in (*descendants(process.pid), process.pid):
                    kill(victim)
            process.communicate()
        self.remux(film, out)
        self.assertEqual(digests(out), expected)


if __name__ == "__main__":
    unittest.main()
