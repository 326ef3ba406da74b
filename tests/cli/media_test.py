"""The kinds probe, poster and thumbnails, and a transcode in a pipeline: submitted, run by a worker, found in the object store."""
import os
import re
import subprocess
import tempfile
import unittest

from support import SOURCE, CliTest

SECONDS, SIZE = 12, (320, 180)
LADDER = '{"name": "tiny", "rungs": [{"name": "120p", "short_side": 120, "codec": "h264", "crf": 30, "max_bits_per_second": 200000}]}'
PIPELINE = """version: 1
steps:
  ladder: {kind: transcode, input: $source, ladder: %s, mp4: true, loudness: -20, subtitles: [{input: $source, language: en}]}
  poster: {kind: poster, input: $steps.ladder.mp4, at: 7500ms, width: 160}
  strip: {kind: thumbnails, input: $steps.ladder.mp4, every: 3s}
"""


def grey(second):
    """The film's brightness in that second."""
    return 16 + 16 * int(second)


def setUpModule():
    global kept, film
    kept = tempfile.TemporaryDirectory(prefix="spool-cli-film-")
    film = os.path.join(kept.name, "film.mp4")
    subprocess.run(["ffmpeg", "-y", "-v", "error", "-nostdin", "-f", "lavfi", "-i",
                    f"color=black:s={SIZE[0]}x{SIZE[1]}:r=25:d={SECONDS},geq=lum='16+16*floor(T)':cb=128:cr=128", "-f", "lavfi", "-i",
                    f"sine=440:d={SECONDS}:r=48000", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p",
                    "-c:a", "aac", "-metadata", "title=Twelve greys", film], check=True)


def tearDownModule():
    kept.cleanup()


def picture(path):
    """(width, height, grey levels row by row), of what an independent decoder sees."""
    size = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", path],
                          capture_output=True, text=True, check=True).stdout.strip().split(",")
    done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-"],
                          capture_output=True, check=True)
    return int(size[0]), int(size[1]), done.stdout


class MediaKinds(CliTest):
    def run_job(self, *words, code=0):
        """Submits, works, and gives the job's tree."""
        id = self.spool("submit", *words).out.strip()
        self.spool("worker", "--until-idle", "--slots", "2")
        return self.spool("watch", id, "--json", code=code).json

    def path(self, reference):
        self.assertTrue(reference.startswith("object:"), reference)
        return os.path.join(self.folder, "spool-data/objects", reference[len("object:"):])

    def assert_grey(self, level, second, tolerance=6):
        # Pictures have the full range, films 16 to 235.
        self.assertAlmostEqual(level, (grey(second) - 16) * 255 / 219, delta=tolerance)

    def assert_only_outputs_are_left(self, outputs):
        objects = os.path.join(self.folder, "spool-data/objects")
        found = {os.path.join(folder, name) for folder, _, names in os.walk(objects) for name in names}
        attempts = {path for path in found if "/.spool/attempts/" in path}
        self.assertEqual(attempts, set())
        self.assertTrue({self.path(reference) for reference in outputs.values()} <= found)

    def test_probe_tells_what_a_film_holds(self):
        result = self.run_job("probe", "-i", film, "loudness=true")["result"]
        self.assertAlmostEqual(result["duration"], SECONDS, delta=0.05)
        video, audio = result["streams"]
        self.assertEqual((video["codec"], video["width"], video["height"], video["frame_rate"]), ("h264", *SIZE, [25, 1]))
        self.assertEqual((audio["codec"], audio["sample_rate"], audio["channels"]), ("aac", 48000, 1))
        self.assertEqual(result["tags"]["title"], "Twelve greys")
        self.assertEqual(result["size_bytes"], os.path.getsize(film))
        self.assertIn("integrated_lufs", str(result))

    def test_a_poster_shows_the_asked_moment_at_the_asked_size(self):
        job = self.run_job("poster", "-i", film, "at=7500ms", "width=160", "format=png")
        result = job["result"]
        self.assertEqual(set(result["outputs"]), {result["file"]})
        self.assertEqual((result["width"], result["height"]), (160, 90))
        self.assertAlmostEqual(result["at"], 7.5, delta=0.05)
        width, height, levels = picture(self.path(result["outputs"][result["file"]]))
        self.assertEqual((width, height), (160, 90))
        self.assert_grey(levels[len(levels) // 2], 7)
        self.assertEqual(result["folder"], f"jobs/{job['id']}")
        self.assert_only_outputs_are_left(result["outputs"])

    def test_thumbnails_come_every_so_often(self):
        result = self.run_job("thumbnails", "-i", film, "every=2s", "width=80", "destination=strips/a")["result"]
        self.assertEqual(result["count"], 6)
        self.assertEqual(sorted(result["outputs"].values()), [f"object:strips/a/thumb-{i:05}.jpg" for i in range(1, 7)])
        for i in range(6):
            width, height, levels = picture(self.path(f"object:strips/a/thumb-{i + 1:05}.jpg"))
            self.assertEqual((width, height), (80, 44))
            self.assert_grey(levels[len(levels) // 2], 2 * i)
        self.assert_only_outputs_are_left(result["outputs"])

    def test_a_storyboard_points_at_the_right_places_of_its_sheet(self):
        result = self.run_job("thumbnails", "-i", film, "every=1s", "sprite=true", "width=64")["result"]
        self.assertEqual(sorted(result["outputs"]), ["sheet-001.jpg", "storyboard.vtt"])
        width, _, levels = picture(self.path(result["outputs"]["sheet-001.jpg"]))
        with open(self.path(result["outputs"]["storyboard.vtt"]), encoding="utf-8") as file:
            board = file.read()
        self.assertTrue(board.startswith("WEBVTT\n"))
        cues = re.findall(r"00:00:([\d.]+) --> 00:00:([\d.]+)\nsheet-001.jpg#xywh=(\d+),(\d+),(\d+),(\d+)\n", board)
        self.assertEqual(len(cues), SECONDS)
        for i, (begin, end, *place) in enumerate(cues):
            x, y, w, h = map(int, place)
            self.assertAlmostEqual(float(begin), i, delta=0.001)
            self.assertAlmostEqual(float(end), min(i + 1, SECONDS), delta=0.05)
            self.assertEqual((w, h), (result["width"], result["height"]))
            self.assert_grey(levels[(y + h // 2) * width + x + w // 2], i)
        self.assert_only_outputs_are_left(result["outputs"])

    def test_wrong_parameters_are_refused_before_anything_is_stored(self):
        for words, expected in ((("thumbnails", "every=10"), '"10" is not a duration'), (("poster", "width=8"), "width"),
                                (("thumbnails", "colour=red"), "unknown key"), (("probe", "loudness=loud"), "loudness"),
                                (("poster", "format=gif"), "format"), (("transcode", "ladder=web", "loudness=0"), "loudness"),
                                (("transcode", "ladder=web", 'subtitles=[{"file": "a"}]'), "subtitles"),
                                (("transcode.mp4",), "transcode.mp4")):
            run = self.spool("submit", *words, "-i", film, code=2)
            self.assertIn(expected, run.err)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "spool-data/spool.db")))

    def test_thumbnails_every_so_many_seconds_and_frames_are_too_much_asked(self):
        job = self.spool("submit", "thumbnails", "-i", film, "every=2s", "every_frames=10").out.strip()
        self.spool("worker", "--until-idle")
        self.assertIn("not both", self.spool("show", job).out)

    def test_what_is_no_film_fails_in_words_and_leaves_no_output(self):
        self.write("film.mp4", "no film at all")
        for kind in ("probe", "poster", "thumbnails"):
            job = self.run_job(kind, "-i", "film.mp4", "--attempts", "1", code=1)
            self.assertEqual(job["state"], "failed")
            self.assertIn("film.mp4", job["errors"][0]["message"])
            self.assertIn(job["errors"][0]["code"], ("corrupt_input", "unsupported"))
        objects = os.path.join(self.folder, "spool-data/objects")
        self.assertEqual([name for _, _, names in os.walk(objects) for name in names if name.endswith((".jpg", ".vtt"))], [])

    def test_later_steps_of_a_pipeline_take_the_mp4_of_a_ladder(self):
        self.write("p.yaml", PIPELINE % LADDER)
        tree = self.run_job("p.yaml", "-i", film)
        steps = tree["result"]["steps"]
        self.assertEqual({name: step["state"] for name, step in steps.items()}, dict.fromkeys(("ladder", "poster", "strip"), "succeeded"))
        self.assertEqual(set(steps["ladder"]["outputs"]), {"master", "mp4", "m4a"})
        master = self.path(steps["ladder"]["outputs"]["master"])
        checked = subprocess.run([os.path.join(SOURCE, "tests/hls/rfc8216_check"), os.path.dirname(master)], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        ladder = next(child for child in tree["children"] if child["name"] == "ladder")
        self.assertIn("subtitles-en is empty", str(ladder["result"]["notes"]))  # the film is no subtitle file
        _, _, levels = picture(self.path(steps["poster"]["outputs"]["poster.jpg"]))
        self.assert_grey(levels[len(levels) // 2], 7)
        self.assertEqual(len(steps["strip"]["outputs"]), 4)


if __name__ == "__main__":
    unittest.main()
