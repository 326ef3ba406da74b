"""--start and --end for a film that is sound alone."""
import subprocess
import unittest

from made import MadeTest, ffmpeg, ffprobe

SECONDS, BEEP = 12, 5.0


def beep(path):
    done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-nostdin", "-i", path, "-ac", "1", "-ar", "48000", "-f", "s16le", "-"],
                          capture_output=True, check=True)
    samples = memoryview(done.stdout).cast("h")
    return next((i for i, sample in enumerate(samples) if abs(sample) > 3000), -48000) / 48000, len(samples) / 48000


class Trim(MadeTest):
    def sound(self, name="sound.flac", *words):
        ffmpeg("-f", "lavfi", "-i", f"aevalsrc=0.5*sin(2*PI*1000*t)*between(t\\,{BEEP}\\,{BEEP + 0.3}):s=48000:d={SECONDS}", *words,
               self.folder / name)
        return self.folder / name

    def assert_trimmed(self, source, words, begins, ends, tolerance=0.01):
        out = self.folder / ("out" + "".join(words))
        document, _, _ = self.transcode(source, out, "--mp4", *words)
        self.assert_passes_rfc8216(out)
        self.assertAlmostEqual(document["result"]["seconds"], ends - begins, delta=0.03)
        found, length = beep(out / "audio.m4a")
        self.assertAlmostEqual(length, ends - begins, delta=0.03)
        self.assertAlmostEqual(found, BEEP - begins if begins < BEEP < ends else -1, delta=tolerance)
        # The beginning is whole: no silence was put in the place of what was cut.
        self.assertAlmostEqual(float(ffprobe(out / "audio.m4a")["streams"][0]["start_time"]), 0, delta=0.001)

    def test_start_and_end_cut_sound_to_the_sample(self):
        source = self.sound()
        self.assert_trimmed(source, ("--start", "3300ms", "--end", "9s"), 3.3, 9, tolerance=0.002)
        self.assert_trimmed(source, ("--start", "3s"), 3, SECONDS)
        self.assert_trimmed(source, ("--end", "7500ms"), 0, 7.5)
        self.assert_trimmed(source, ("--end", "4s"), 0, 4)

    def test_an_end_behind_the_sounds_own_adds_no_silence(self):
        self.assert_trimmed(self.sound(), ("--start", "1s", "--end", "1m"), 1, SECONDS)

    def test_times_count_from_the_first_sound_whatever_the_source_clock_says(self):
        self.assert_trimmed(self.sound("sound.ts", "-c:a", "mp2", "-output_ts_offset", "500"), ("--start", "3s", "--end", "8s"), 3, 8,
                            tolerance=0.03)

    def test_a_trim_that_leaves_nothing_is_told_with_the_sounds_length(self):
        source = self.sound()
        for words, expected in ((("--start", "20s"), "the sound lasts 12.000 s"), (("--start", "5s", "--end", "5s"), "nothing is left"),
                                (("--start", "15s", "--end", "20s"), "between 15 s and 20 s")):
            _, said, _ = self.transcode(source, self.folder / "none", *words, code=1)
            self.assertIn(expected, said)
            self.assertIn(str(source), said)
            subprocess.run(["rm", "-r", self.folder / "none"], check=True)


if __name__ == "__main__":
    unittest.main()
