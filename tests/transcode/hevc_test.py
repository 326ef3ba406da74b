"""A ladder of HEVC: the encoder is a choice of the ladder, and all else stays the same."""
import json
import unittest

from made import MadeTest, ffprobe, make_film


class Hevc(MadeTest):
    def test_a_film_becomes_hevc_that_players_know_as_hvc1(self):
        rungs = [{"name": f"{side}p", "short_side": side, "codec": "hevc", "crf": 28, "max_bits_per_second": rate}
                 for side, rate in ((240, 800000), (144, 300000))]
        self.ladder.write_text(json.dumps({"name": "hevc", "audio_bits_per_second": 128000, "segment_seconds": 4, "gop_seconds": 2,
                                           "rungs": rungs}))
        out = self.folder / "out"
        document, _, _ = self.transcode(make_film(self.folder / "film.mp4", 10), out, "--mp4")
        self.assert_passes_rfc8216(out)
        self.assertEqual((document["result"]["frames"], document["result"]["damage"]), (250, []))
        for line in self.lines(out / "master.m3u8", "#EXT-X-STREAM-INF")[:2]:
            self.assertRegex(line, r'CODECS="hvc1\.1\.[^"]*,mp4a\.40\.2"')
        for rung, size in (("240p", (426, 240)), ("144p", (256, 144))):
            played = ffprobe(out / rung / "playlist.m3u8", "-count_frames")["streams"][0]
            self.assertEqual((played["codec_name"], played["width"], played["height"]), ("hevc", *size))
            self.assertEqual(int(played["nb_read_frames"]), 250)
            self.assertIn(b"hvc1", (out / rung / "init.mp4").read_bytes())
        whole = ffprobe(out / "video.mp4", "-count_frames")["streams"]
        self.assertEqual([(s["codec_name"], s["codec_tag_string"]) for s in whole], [("hevc", "hvc1"), ("aac", "mp4a")])
        self.assertEqual(int(whole[0]["nb_read_frames"]), 250)


if __name__ == "__main__":
    unittest.main()
