"""What of the source was damaged is in the result, in seconds and by track; the rest is kept."""
import random
import unittest

from made import TESTS, MadeTest, ffmpeg, ffprobe, make_film


class Damaged(MadeTest):
    def packets(self, film, stream):
        """(time, position, size) of each packet of a stream."""
        found = ffprobe(film, "-select_streams", stream, "-show_entries", "packet=pts_time,pos,size")["packets"]
        return [(float(p["pts_time"]), int(p["pos"]), int(p["size"])) for p in found]

    def overwritten(self, film, name, packets, byte=None):
        data, noise = bytearray(film.read_bytes()), random.Random(1)
        for _, position, size in packets:
            data[position:position + size] = noise.randbytes(size) if byte is None else bytes([byte]) * size
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def stretches(self, document, track):
        return [d for d in document["result"]["damage"] if d["track"] == track]

    def test_damaged_sound_is_told_in_seconds_and_by_track(self):
        good = make_film(self.folder / "good.mp4", 12)
        bad = self.overwritten(good, "bad.mp4", [p for p in self.packets(good, "a") if 5 <= p[0] < 6])
        document, said, _ = self.transcode(bad, self.folder / "out")
        self.assert_passes_rfc8216(self.folder / "out")
        self.assertEqual(self.stretches(document, "video"), [])
        told = self.stretches(document, "audio-und")
        self.assertTrue(told)
        self.assertAlmostEqual(told[0]["from"], 5, delta=0.1)
        self.assertAlmostEqual(told[-1]["to"], 6, delta=0.1)
        self.assertIn("was damaged from ", said)

    def test_damaged_pictures_are_told_in_seconds(self):
        good = make_film(self.folder / "good.mp4", 12)
        bad = self.overwritten(good, "bad.mp4", [p for p in self.packets(good, "v") if 4 <= p[0] < 5])
        document, _, _ = self.transcode(bad, self.folder / "out")
        told = self.stretches(document, "video")
        self.assertEqual(document["result"]["damage"], told)
        self.assertAlmostEqual(told[0]["from"], 4, delta=0.05)
        self.assertGreater(sum(stretch["frames"] for stretch in told), 20)
        self.assertLess(told[-1]["to"], 12)

    def test_damaged_frames_that_are_remuxed_are_told_too(self):
        self.ladder.write_text((TESTS.parent / "ladders/source.yaml").read_text())
        good = make_film(self.folder / "good.mp4", 12)
        document, _, _ = self.transcode(good, self.folder / "whole", "--remux", "auto")
        self.assertEqual(document["result"]["damage"], [])
        for byte in (0xff, 0):
            with self.subTest(byte=byte):
                bad = self.overwritten(good, f"bad{byte}.mp4", [p for p in self.packets(good, "v") if 4 <= p[0] < 4.9])
                document, _, _ = self.transcode(bad, self.folder / f"out{byte}", "--remux", "auto")
                told = self.stretches(document, "source")
                self.assertEqual([(round(d["from"], 2), d["frames"]) for d in told], [(4, 23)])
                self.assertIn("damaged frames of source were passed on as they are, from 4.000 s on",
                              " ".join(document["result"]["notes"]))


if __name__ == "__main__":
    unittest.main()
