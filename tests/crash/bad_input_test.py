"""Bad input through the whole program: an error that names the file and what is wrong, exit code 1 or 2, and no half-written
output in the place of a good one."""
import struct
import unittest

from running import TranscodeTest, digests, ffmpeg, make_film


class BadInput(TranscodeTest):
    def refused(self, path, *words):
        """`words`: one of them stands in the message."""
        out = self.folder / f"out-{path.name}"
        document, said, code = self.transcode(path, out, code=(1, 2))
        self.assertIn(path.name, said)
        self.assertTrue(any(word in said.lower() for word in words), f"{said!r} says none of {words}")
        self.assertNotIn("Traceback", said)
        left = digests(out) if out.exists() else {}
        self.assertEqual(left, {}, "something was left in the place of a good output")

    def written(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def test_an_empty_file(self):
        self.refused(self.written("empty.mp4", b""), "empty")

    def test_a_file_that_is_not_there(self):
        self.refused(self.folder / "nowhere.mp4", "no such file")

    def test_a_text_file_named_mp4(self):
        self.refused(self.written("text.mp4", b"It was a dark and stormy night.\n" * 50), "not", "no ", "unknown", "invalid")

    def test_a_film_cut_before_its_moov(self):
        film = make_film(self.folder / "film.mp4", 4)
        data = film.read_bytes()
        self.refused(self.written("cut.mp4", data[: len(data) // 2]), "moov", "truncated", "damaged", "invalid", "incomplete")

    def test_a_film_cut_behind_its_moov_is_refused_or_its_loss_is_told(self):
        film = make_film(self.folder / "film.mp4", 12)
        ffmpeg("-i", film, "-c", "copy", "-movflags", "+faststart", self.folder / "fast.mp4")
        data = (self.folder / "fast.mp4").read_bytes()
        path = self.written("half.mp4", data[: len(data) // 2])
        out = self.folder / "out"
        document, said, code = self.transcode(path, out, code=None)
        if code == 0:
            self.assertTrue(document["result"]["damage"], "half of the film is missing, and nobody says so")
            self.assert_folder_is_whole(out)
        else:
            self.assertIn(code, (1, 2))
            self.assertIn(path.name, said)
            self.assertEqual(digests(out), {})

    def test_sound_without_any_stream_that_is_known(self):
        ffmpeg("-f", "lavfi", "-i", "sine=d=1", self.folder / "sound.wav")
        data = bytearray((self.folder / "sound.wav").read_bytes())
        struct.pack_into("<H", data, 20, 0xFFF0)  # a codec tag that nobody has
        self.refused(self.written("unknown.wav", bytes(data)), "no ", "stream", "unsupported", "not")

    def claiming(self, side):
        """A film whose container and pictures say that they are `side` pixels wide and high."""
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", self.folder / "small.mov")
        data = bytearray((self.folder / "small.mov").read_bytes())
        struct.pack_into(">HH", data, data.index(b"jpeg", data.index(b"stsd")) + 28, side, side)
        at = data.find(b"\xff\xc0\x00\x11\x08")  # SOF0: baseline, three components, then height and width
        while at >= 0:
            struct.pack_into(">HH", data, at + 5, side, side)
            at = data.find(b"\xff\xc0\x00\x11\x08", at + 4)
        return self.written(f"claims{side}.mov", bytes(data))

    def test_claimed_dimensions_beyond_reason(self):
        self.refused(self.claiming(12000), "claim to be 12000x12000")
        # So large that the FFmpeg libraries do not even tell the size.
        self.refused(self.claiming(20000), "20000", "can be decoded")

    def test_a_stream_without_duration(self):
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-c:v", "libx264", "-frames:v", "0", self.folder / "none.mp4")
        self.refused(self.folder / "none.mp4", "no ", "empty", "frame", "stream")

    def test_a_playlist_posing_as_a_video(self):
        film = make_film(self.folder / "film.ts", 2)
        self.refused(self.written("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfilm.ts\n#EXT-X-ENDLIST\n"), "playlist", "not", "hls", "no ")
        self.refused(self.written("script.mp4", f"ffconcat version 1.0\nfile {film}\n".encode()), "concat", "not", "no ")
        self.assertEqual(film.exists(), True)

    def test_a_damaged_stretch_is_told_and_the_rest_is_kept(self):
        film = make_film(self.folder / "film.mp4", 24)
        data = bytearray(film.read_bytes())
        begin = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
        for at in range(begin, begin + 20000):
            data[at] = (at * 37) % 251
        out = self.folder / "out"
        document, said, _ = self.transcode(self.written("damaged.mp4", bytes(data)), out)
        self.assertTrue(document["result"]["damage"], "a damaged stretch, and nobody says so")
        self.assert_folder_is_whole(out)


if __name__ == "__main__":
    unittest.main()
