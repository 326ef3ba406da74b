"""Text subtitles of a film, embedded or given, as WebVTT renditions."""
import pathlib
import re
import unittest

from made import MadeTest, ffmpeg, make_film

SECONDS = 14
SRT = """1
00:00:01,000 --> 00:00:02,500
Good <i>evening</i> & <script>welcome</script>

2
00:00:03,000 --> 00:00:05,000
across a border

3
00:00:09,000 --> 00:00:10,000
near the end
"""
GIVEN = """WEBVTT

00:02.000 --> 00:03.000 line:10%
Bonsoir
"""


def cues(path):
    """[(begin, end, text)], seconds."""
    found = re.findall(r"(\d+):(\d\d):(\d\d\.\d{3}) --> (\d+):(\d\d):(\d\d\.\d{3})[^\n]*\n((?:.+\n)*)",
                       pathlib.Path(path).read_text())
    seconds = lambda h, m, s: int(h) * 3600 + int(m) * 60 + float(s)  # noqa: E731
    return [(seconds(*f[:3]), seconds(*f[3:6]), f[6].strip()) for f in found]


class Subtitles(MadeTest):
    def film(self, codec="srt", name="film.mkv", title="Full"):
        plain = make_film(self.folder / "plain.mp4", SECONDS)
        (self.folder / "film.srt").write_text(SRT)
        ffmpeg("-i", plain, "-i", self.folder / "film.srt", "-map", "0", "-map", "1", "-c", "copy", "-c:s", codec,
               "-metadata:s:s:0", "language=eng", "-metadata:s:s:0", f"title={title}", self.folder / name)
        return self.folder / name

    def borders(self, playlist):
        at, found = 0.0, []
        for line in self.lines(playlist, "#EXTINF:"):
            found.append((at, at + float(line[8:].rstrip(","))))
            at = found[-1][1]
        return found

    def test_embedded_and_given_ones_become_renditions_cut_where_the_video_is(self):
        (self.folder / "given.vtt").write_text(GIVEN)
        out = self.folder / "out"
        document, said, _ = self.transcode(self.film(), out, "--subtitles", f"{self.folder}/given.vtt:fr")
        self.assertEqual(document["result"]["notes"], [], said)
        self.assert_passes_rfc8216(out)
        media = self.lines(out / "master.m3u8", "#EXT-X-MEDIA:TYPE=SUBTITLES")
        self.assertEqual(len(media), 2)
        self.assertRegex(media[0], 'NAME="Full",LANGUAGE="en",.*URI="subtitles-eng/playlist.m3u8"')
        self.assertRegex(media[1], 'LANGUAGE="fr",.*URI="subtitles-fr/playlist.m3u8"')
        for variant in self.lines(out / "master.m3u8", "#EXT-X-STREAM-INF"):
            if "RESOLUTION" in variant:
                self.assertIn('SUBTITLES="subtitles"', variant)
        self.assertEqual(cues(out / "subtitles-eng/all.vtt"), [
            (1, 2.5, "Good <i>evening</i> &amp; welcome"), (3, 5, "across a border"), (9, 10, "near the end")])
        # A cue over a border stands on both sides, and each segment lasts as long as the video's.
        for path, (begin, end) in zip(sorted(out.glob("subtitles-eng/0*.vtt")), self.borders(out / "240p/playlist.m3u8"), strict=True):
            self.assertEqual(cues(path), [cue for cue in cues(out / "subtitles-eng/all.vtt") if cue[0] < end and cue[1] > begin])
        self.assertEqual(self.lines(out / "subtitles-eng/playlist.m3u8", "#EXTINF"),
                         self.lines(out / "240p/playlist.m3u8", "#EXTINF"))
        self.assertEqual(cues(out / "subtitles-fr/all.vtt"), [(2, 3, "Bonsoir")])
        self.assertIn("line:10%", (out / "subtitles-fr/all.vtt").read_text())
        self.assertEqual(len(re.findall("<BaseURL>subtitles-(?:eng|fr)/all.vtt", (out / "manifest.mpd").read_text())), 2)

    def test_a_trim_moves_the_cues_of_both_alike(self):
        (self.folder / "given.srt").write_text(SRT)
        film = self.film("mov_text", "film.mp4")
        out = self.folder / "out"
        self.transcode(film, out, "--start", "2s", "--end", "9500ms", "--subtitles", f"{self.folder}/given.srt")
        self.assert_passes_rfc8216(out)
        # The film ends with a whole frame.
        for name, tolerance in (("subtitles-eng", 0.05), ("subtitles-und", 0.021)):
            found = cues(out / name / "all.vtt")
            expected = [(0, 0.5), (1, 3), (7, 7.5)]
            self.assertEqual(len(found), 3, found)
            for (begin, end, _), (begins, ends) in zip(found, expected):
                self.assertAlmostEqual(begin, begins, delta=tolerance)
                self.assertAlmostEqual(end, ends, delta=tolerance)

    def test_a_damaged_file_leaves_an_empty_rendition_and_a_note_that_names_it(self):
        broken = self.folder / "broken.srt"
        broken.write_bytes(bytes(range(256)) * 40)
        out = self.folder / "out"
        document, said, _ = self.transcode(make_film(self.folder / "film.mp4", 6), out, "--subtitles", f"{broken}:de")
        self.assert_passes_rfc8216(out)
        self.assertEqual(len(document["result"]["notes"]), 1)
        self.assertIn(f"subtitles-de is empty: {broken}: no subtitles in it", said)
        self.assertEqual(cues(out / "subtitles-de/all.vtt"), [])
        self.assertEqual(len(list(out.glob("subtitles-de/0*.vtt"))), len(list(out.glob("240p/0*.m4s"))))

    def test_subtitles_that_are_pictures_are_left_out_and_told(self):
        film = self.folder / "film.mkv"
        (self.folder / "film.srt").write_text(SRT)
        plain = make_film(self.folder / "plain.mp4", 6)
        # A DVD's subtitles, as FFmpeg can write them: from pictures of its own.
        self.write_dvd_subtitles(self.folder / "dvd.mkv")
        ffmpeg("-i", plain, "-i", self.folder / "dvd.mkv", "-i", self.folder / "film.srt", "-map", "0", "-map", "1:s", "-map", "2",
               "-c", "copy", film)
        document, said, _ = self.transcode(film, self.folder / "out")
        self.assertEqual(document["result"]["notes"],
                         ["the subtitle track in stream 2 was left out: it holds pictures (dvd_subtitle)"], said)
        self.assertEqual([path.name for path in (self.folder / "out").glob("subtitles-*")], ["subtitles-und"])

    def write_dvd_subtitles(self, path):
        """Matroska with one track S_VOBSUB, of a single block; by hand, for FFmpeg makes none from text."""
        def element(identity, body):
            return bytes.fromhex(identity) + (1 << 56 | len(body)).to_bytes(8, "big") + body

        def number(identity, value):
            return element(identity, value.to_bytes(4, "big"))
        private = b"size: 720x480\npalette: " + b", ".join([b"ffffff"] * 16) + b"\n"
        track = element("ae", number("d7", 1) + number("73c5", 1) + number("83", 0x11) + element("86", b"S_VOBSUB") +
                        element("63a2", private))
        block = element("a0", element("a1", b"\x81\x00\x00\x00" + bytes(20)) + number("9b", 1000))
        path.write_bytes(
            element("1a45dfa3", element("4282", b"matroska") + number("4287", 2) + number("4285", 2)) +
            element("18538067", element("1549a966", number("2ad7b1", 1000000)) + element("1654ae6b", track) +
                    element("1f43b675", number("e7", 0) + block)))

    def test_a_language_that_is_none_and_a_file_that_is_not_there_are_wrong_usage(self):
        film = make_film(self.folder / "film.mp4", 2)
        (self.folder / "a.srt").write_text(SRT)
        for given, expected in ((f"{self.folder}/a.srt:klingon", "klingon"), (f"{self.folder}/none.srt", "none.srt")):
            _, said, _ = self.transcode(film, self.folder / "out", "--subtitles", given, code=2)
            self.assertIn(expected, said)
        self.assertFalse((self.folder / "out").exists())

    def test_other_subtitles_make_another_job(self):
        film, out = make_film(self.folder / "film.mp4", 2), self.folder / "out"
        given = self.folder / "a.srt"
        given.write_text(SRT)
        self.transcode(film, out, "--subtitles", given)
        given.write_text(SRT.replace("near", "far from"))
        _, said, _ = self.transcode(film, out, "--subtitles", given, code=2)
        self.assertIn("made with other settings", said)


if __name__ == "__main__":
    unittest.main()
