"""Bad input through the whole program: an error that names the file and what is wrong, exit code 1 or 2, and no half-written
output in the place of a good one."""
import os
import shutil
import struct
import unittest

from running import TranscodeTest, digests, ffmpeg, make_film


class BadInput(TranscodeTest):
    def setUp(self):
        super().setUp()
        self.path, self.out = self.folder / "in.mp4", self.folder / "result"  # names that say nothing

    def refused(self, says):
        _, said, _ = self.transcode(self.path, self.out, code=(1, 2))
        self.assertIn(f"{self.path}: {says}", said)
        self.assertNotIn("Traceback", said)
        left = digests(self.out) if self.out.exists() else {}
        self.assertEqual(left, {}, "something was left in the place of a good output")
        shutil.rmtree(self.out, ignore_errors=True)

    def test_an_empty_file(self):
        self.path.write_bytes(b"")
        self.refused("the file is empty")

    def test_a_file_that_is_not_there(self):
        self.refused("No such file or directory")

    def test_what_is_no_file_is_refused_and_not_waited_for(self):
        os.mkfifo(self.path)
        self.refused("not a regular file")

    def test_a_text_file_named_mp4(self):
        self.path.write_bytes(b"It was a dark and stormy night.\n" * 50)
        self.refused("this is a text file, not a video")

    def test_a_film_cut_before_its_moov(self):
        data = make_film(self.folder / "film.mp4", 4).read_bytes()
        self.path.write_bytes(data[: len(data) // 2])
        self.refused("no moov: the upload is incomplete")

    def test_a_film_cut_behind_its_moov(self):
        film = make_film(self.folder / "film.mp4", 4)
        ffmpeg("-i", film, "-c", "copy", "-movflags", "+faststart", self.folder / "fast.mp4")
        data = (self.folder / "fast.mp4").read_bytes()
        self.path.write_bytes(data[: len(data) // 2])
        self.refused(f"the file is cut off: at least {len(data) - len(data) // 2} bytes of it are missing; upload it again")

    def test_a_matroska_film_that_is_cut_off(self):
        film = make_film(self.folder / "film.mp4", 4)
        ffmpeg("-i", film, "-c", "copy", self.folder / "film.mkv")
        data = (self.folder / "film.mkv").read_bytes()
        self.path.write_bytes(data[: len(data) // 2])
        self.refused(f"the file is cut off: at least {len(data) - len(data) // 2} bytes of it are missing; upload it again")

    def test_sound_in_a_codec_that_nobody_knows(self):
        ffmpeg("-f", "lavfi", "-i", "sine=d=1", self.folder / "sound.wav")
        data = bytearray((self.folder / "sound.wav").read_bytes())
        struct.pack_into("<H", data, 20, 0xFFF0)  # a codec tag that nobody has
        self.path.write_bytes(data)
        self.refused("there is no video and no audio in it that can be decoded")

    def claims(self, side):
        """A film whose container and pictures say that they are `side` pixels wide and high."""
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", self.folder / "small.mov")
        data = bytearray((self.folder / "small.mov").read_bytes())
        struct.pack_into(">HH", data, data.index(b"jpeg", data.index(b"stsd")) + 28, side, side)
        at = data.find(b"\xff\xc0\x00\x11\x08")  # SOF0: baseline, three components, then height and width
        while at >= 0:
            struct.pack_into(">HH", data, at + 5, side, side)
            at = data.find(b"\xff\xc0\x00\x11\x08", at + 4)
        self.path.write_bytes(data)

    def test_claimed_dimensions_beyond_reason(self):
        self.claims(12000)
        self.refused("its pictures claim to be 12000x12000")
        self.claims(20000)
        self.refused("its pictures claim to be 20000x20000")

    def test_a_stream_without_duration(self):
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-c:v", "libx264", "-frames:v", "0", self.path)
        self.refused("there is no video and no audio in it that can be decoded")

    def test_a_playlist_and_a_script_posing_as_videos(self):
        film = make_film(self.folder / "film.ts", 2)
        self.path.write_bytes(b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfilm.ts\n#EXT-X-ENDLIST\n")
        self.refused("this is an HLS or M3U playlist, not a video")
        self.path.write_bytes(f"ffconcat version 1.0\nfile {film}\n".encode())
        self.refused("this is a concat script, not a video")
        self.assertTrue(film.exists())

    def test_a_damaged_stretch_is_told_and_the_rest_is_kept(self):
        data = bytearray(make_film(self.folder / "film.mp4", 24).read_bytes())
        begin = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
        for at in range(begin, begin + 20000):
            data[at] = (at * 37) % 251
        self.path.write_bytes(data)
        document, said, _ = self.transcode(self.path, self.out)
        self.assertAlmostEqual(document["result"]["seconds"], 24, delta=0.1)
        damage = document["result"]["damage"]
        self.assertTrue(damage, "a damaged stretch, and nobody says so")
        for stretch in damage:
            self.assertTrue(8 < stretch["from"] < stretch["to"] < 16, stretch)
        self.assertIn("was damaged from ", said)
        self.assert_folder_is_whole(self.out)


if __name__ == "__main__":
    unittest.main()
