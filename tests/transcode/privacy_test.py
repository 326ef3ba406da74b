"""Where a film was taken, and with what, is not passed on."""
import json
import unittest

from made import MadeTest, digests, ffmpeg, make_film

TAGS = {"location": "+48.2082+016.3738/", "location-eng": "+48.2082+016.3738/", "com.apple.quicktime.location.ISO6709": "+48.2082+016.3738/",
        "com.apple.quicktime.make": "Apple", "com.apple.quicktime.model": "iPhone 99", "com.android.manufacturer": "Nokiasung",
        "artist": "Jane Filmer", "comment": "taken at home", "creation_time": "2024-03-02T11:12:13Z"}
WORDS = (b"48.2082", b"016.3738", b"Apple", b"iPhone", b"Nokiasung", b"Jane Filmer", b"taken at home", b"2024-03-02", b"Core Media")


class Privacy(MadeTest):
    def setUp(self):
        super().setUp()
        rungs = [{"name": f"{side}p", "short_side": side, "codec": "h264", "crf": 23, "max_bits_per_second": 8000000} for side in (240, 144)]
        self.ladder.write_text(json.dumps({"name": "roomy", "audio_bits_per_second": 192000, "segment_seconds": 4, "gop_seconds": 2,
                                           "rungs": rungs}))

    def tagged(self, name, *more):
        plain, film = make_film(self.folder / "plain.mp4", 6), self.folder / name
        tags = [word for key, value in TAGS.items() for word in ("-metadata", f"{key}={value}")]
        ffmpeg("-i", plain, "-c", "copy", *more, *tags, "-metadata:s:v", "handler_name=Core Media Video",
               "-metadata:s:a", "handler_name=Core Media Audio", film)
        found = [word for word in WORDS if word in film.read_bytes()]
        self.assertTrue({b"48.2082", b"Apple", b"iPhone", b"Jane Filmer"} <= set(found), found)
        return film

    def test_no_byte_of_the_output_tells_where_and_with_what_the_film_was_taken(self):
        films = (self.tagged("tags.mp4", "-movflags", "use_metadata_tags"), self.tagged("tags.mkv"), self.tagged("tags.mov", "-movflags", "use_metadata_tags"))
        for film in films:
            for remux in ("never", "auto"):
                with self.subTest(film=film.name, remux=remux):
                    out = self.folder / f"{film.stem}-{film.suffix[1:]}-{remux}"
                    document, _, _ = self.transcode(film, out, "--remux", remux, "--mp4")
                    self.assertEqual(remux == "auto", "240p was remuxed" in " ".join(document["result"]["notes"]))
                    names = digests(out)
                    self.assertTrue({"video.mp4", "audio.m4a", "master.m3u8", "manifest.mpd"} <= set(names))
                    for name in names:
                        written = (out / name).read_bytes()
                        self.assertEqual([word for word in WORDS if word in written], [], name)


if __name__ == "__main__":
    unittest.main()
