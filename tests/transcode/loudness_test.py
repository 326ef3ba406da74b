"""--loudness: one fixed gain to a target, never above -1 dBTP; measured by ffmpeg in what comes out."""
import re
import subprocess
import unittest

from made import MadeTest, ffmpeg

QUIET = "0.02*sin(2*PI*440*t)*(1+0.5*sin(2*PI*0.3*t))"
SPIKY = "0.02*sin(2*PI*440*t)+0.7*sin(2*PI*1000*t)*lt(mod(t\\,3)\\,0.02)"


def ebur128(path):
    """(integrated LUFS, true peak dBTP), as ffmpeg hears it."""
    done = subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-i", path, "-map", "0:a", "-af", "ebur128=peak=true:framelog=verbose",
                           "-f", "null", "-"], capture_output=True, text=True, check=True)
    summary = done.stderr[done.stderr.rindex("Summary:"):]
    return float(re.search(r"I:\s+(-?[\d.]+) LUFS", summary)[1]), float(re.search(r"Peak:\s+(-?[\d.]+) dBFS", summary)[1])


class Loudness(MadeTest):
    def film(self, sound, name="film.mkv", channels="stereo"):
        both = {"stereo": f"{sound}|{sound}", "mono": sound}[channels]
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=426x240:r=25:d=12", "-f", "lavfi", "-i", f"aevalsrc={both}:s=48000:d=12:c={channels}",
               "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac", self.folder / name)
        return self.folder / name

    def test_a_quiet_film_comes_out_at_the_target(self):
        for channels in ("stereo", "mono"):
            for target in (-16, -23):
                with self.subTest(channels=channels, target=target):
                    out = self.folder / f"out{channels}{target}"
                    document, _, _ = self.transcode(self.film(QUIET, channels=channels), out, "--mp4", "--loudness", str(target))
                    self.assert_passes_rfc8216(out)
                    loudness, peak = ebur128(out / "audio.m4a")
                    self.assertAlmostEqual(loudness, target, delta=0.5)
                    self.assertLess(peak, -1)
                    told = document["result"]["loudness"]["audio-und"]
                    self.assertAlmostEqual(told["integrated_lufs"] + told["gain_db"], target, delta=0.02)
                    self.assertEqual(document["result"]["notes"], [])

    def test_a_film_that_is_too_loud_is_made_quieter(self):
        out = self.folder / "out"
        document, _, _ = self.transcode(self.film("0.5*sin(2*PI*440*t)"), out, "--mp4", "--loudness", "-23")
        self.assertAlmostEqual(ebur128(out / "audio.m4a")[0], -23, delta=0.5)
        self.assertLess(document["result"]["loudness"]["audio-und"]["gain_db"], -10)

    def test_a_film_with_spikes_is_limited_by_its_true_peak_and_that_is_told(self):
        film = self.film(SPIKY)
        out = self.folder / "out"
        document, said, _ = self.transcode(film, out, "--mp4", "--loudness", "-16")
        before, after = ebur128(film), ebur128(out / "audio.m4a")
        told = document["result"]["loudness"]["audio-und"]
        self.assertAlmostEqual(told["true_peak_dbtp"], before[1], delta=0.2)
        self.assertAlmostEqual(told["true_peak_dbtp"] + told["gain_db"], -1, delta=0.02)
        self.assertAlmostEqual(after[0], before[0] + told["gain_db"], delta=0.5)
        self.assertLess(after[0], -17)
        self.assertLess(after[1], -0.5)  # AAC moves peaks a little
        self.assertRegex(said, r"audio-und is \d+\.\d LU below -16 LUFS: its peaks allow no more")

    def test_only_what_is_left_of_a_trimmed_film_counts(self):
        film = self.film(f"if(lt(t\\,6)\\,0.6*sin(2*PI*440*t)\\,{QUIET})")
        out = self.folder / "out"
        self.transcode(film, out, "--mp4", "--loudness", "-16", "--start", "6500ms")
        self.assertAlmostEqual(ebur128(out / "audio.m4a")[0], -16, delta=0.5)

    def test_silence_is_left_alone(self):
        document, said, _ = self.transcode(self.film("0"), self.folder / "out", "--loudness", "-16")
        self.assertEqual(document["result"]["loudness"]["audio-und"]["gain_db"], 0)
        self.assertIn("it is silent", said)

    def test_a_loudness_out_of_reach_is_wrong_usage(self):
        film = self.film(QUIET)
        for target in ("0", "-60", "loud"):
            _, said, _ = self.transcode(film, self.folder / "out", "--loudness", target, code=2)
            self.assertIn("--loudness", said)


if __name__ == "__main__":
    unittest.main()
