"""What a ladder of one rung of 96 lines must make of each good film of the corpus.

By construction (make_corpus): frame n of the source carries the number n, and every second begins with a beep. Keys:
  frames   [(number, seconds)] in order; seconds count from the first frame. `None`: the numbers cannot be read
  size     of the rung: upright, square pixels, even
  beeps    seconds from the first frame at which a beep begins; () when there is no sound
  sound    seconds from the first frame at which the default sound ends
  tolerance  of the beeps, in seconds
  tracks   renditions of sound
  colours  matrix, transfer, primaries: those of the source (untagged and small: BT.601), BT.709 for HDR
  damaged  the frames may be fewer, and the result says where
"""

WIDE = (170, 96)
SMALL = ("smpte170m", "smpte170m", "smpte170m")
PAL = ("bt470bg", "smpte170m", "bt470bg")
HD = ("bt709", "bt709", "bt709")


def steady(count, rate=25.0, first=0):
    return [(first + i, i / rate) for i in range(count)]


def film(frames=None, size=WIDE, beeps=(0, 1, 2, 3), sound=4.0, tracks=1, damaged=False, channels=2, colours=SMALL,
         tolerance=0.02):
    return {"frames": steady(100) if frames is None else frames, "size": size, "beeps": beeps, "sound": sound,
            "tracks": tracks if beeps else 0, "damaged": damaged, "channels": channels, "colours": colours, "tolerance": tolerance}


def silent(frames=None, size=WIDE):
    return film(frames, size, beeps=())


def unnumbered(frames):
    return [(None, seconds) for _, seconds in frames]


VARIABLE = [(n, n / 25) for n in range(100) if not (30 <= n <= 60 and n % 2) and not 70 <= n <= 84]
FIELDS = (160, 96)
NTSC = 30000 / 1001

FILMS = {
    **{name: film() for name in (
        "plain.mp4", "faststart.mp4", "fragmented.mp4", "vp9.webm", "open_gop.mp4", "start_offset.ts", "start_offset.mkv", "mpegts.ts", "mpeg2_mp2.mpg",
        "subtitles.mp4", "subtitles.mkv", "data_track.mp4", "chapters.mp4", "yuv422_10bit.mp4", "audio_gap.mkv")},
    **{name: film(steady(50), beeps=(0, 1), sound=2.0) for name in ("hevc.mp4", "av1.mp4")},
    **{name: film(steady(50), beeps=(0, 1), sound=2.0, colours=HD) for name in ("hdr10.mp4", "hlg.mp4", "dolby_vision_8.mp4")},
    **{name: film(colours=PAL) for name in ("bt601.mp4", "mjpeg.avi")},
    "full_range.mp4": film(colours=HD),
    "one_frame.mp4": silent(steady(1)),
    "no_audio.mp4": silent(),
    "animation.gif": silent(steady(20, 10)),
    "vfr.mp4": film(VARIABLE),
    "rotated_90.mp4": film(unnumbered(steady(100)), (96, 170)),
    "rotated_180.mp4": film(unnumbered(steady(100))),
    "rotated_270.mp4": film(unnumbered(steady(100)), (96, 170)),
    "odd_size.webm": film(),
    "odd_size.mkv": film(size=(172, 96)),
    "anamorphic.mp4": film(),
    "film_23976.mp4": film(steady(96, 24000 / 1001)),
    "ntsc_2997.mp4": film(steady(120, NTSC)),
    "jitter.mkv": film(steady(120, NTSC)),
    "interlaced_tff.mp4": film(unnumbered(steady(100)), FIELDS),
    "interlaced_bff.mp4": film(unnumbered(steady(100)), FIELDS),
    "interlaced_untagged.mkv": film(unnumbered(steady(100)), FIELDS),
    "telecine.ts": film(unnumbered(steady(120, NTSC)), FIELDS),
    "long_gop.mp4": film(steady(300), beeps=tuple(range(12)), sound=12.0),
    "edit_list.mp4": film(steady(65, first=35), beeps=(0.6, 1.6), sound=2.6),
    "late_audio.mp4": film(beeps=(1.5, 2.5, 3.5)),
    "several_audio.mkv": film(tracks=3),
    "several_audio.mp4": film(tracks=3),
    "mono_8k.mp4": film(sound=4.096, channels=1),  # a frame of its AAC is 0.128 s
    "surround.mp4": film(),
    "discontinuity.ts": film([(i % 100, i / 25) for i in range(200)], beeps=tuple(range(8)), sound=8.0),
    "black_start.mp4": film(unnumbered(steady(150)), beeps=tuple(range(6)), sound=6.0),
    "audio_only.m4a": film([], None),
    "audio_only.wav": film([], None),
    "cover_art.m4a": film([], None),
    "damaged.mp4": film(damaged=True),
    "damaged.ts": film(damaged=True),
    "truncated_with_moov.mp4": film(damaged=True),
}

# What `spool transcode` says of those that it refuses.
REFUSED = {
    "empty.mp4": "the file is empty",
    "text.mp4": "this is a text file, not a video",
    "truncated_without_moov.mp4": "no moov: the upload is incomplete",
    "zero_duration.mp4": "none of its video (h264) can be decoded",
    "zero_duration_audio.mp4": "its sound (stream 1) has no samples",
    "no_usable_stream.mkv": "there is no video and no audio in it that can be decoded",
    "huge_claim.mp4": "its pictures claim to be 20000x20000",
    "huge_claim.gif": "its pictures claim to be 20000x20000",
    "hls_playlist.mp4": "this is an HLS or M3U playlist, not a video",
    "dash_manifest.mp4": "this is a DASH manifest, not a video",
    "concat_script.mp4": "this is a concat script, not a video",
    "session.sdp": "this is an SDP session description, not a video",
    "external_reference.mov": "none of its video (h264) can be decoded",
    "dolby_vision_5.mp4": "Dolby Vision profile 5 has no base layer",
}
