"""What a ladder of one rung of 96 lines must make of each good film of the corpus.

By construction (make_corpus): frame n of the source carries the number n, and every second begins with a beep. Keys:
  frames   [(number, seconds)] in order; seconds count from the first frame. `None`: the numbers cannot be read
  size     of the rung: upright, square pixels, even
  beeps    seconds from the first frame at which a beep begins; () when there is no sound
  sound    seconds from the first frame at which the default sound ends
  tolerance  of the beeps, in seconds
  tracks   renditions of sound
  languages  {tag: (it is the default, the pitch of its beeps in Hz)}
  colours  matrix, transfer, primaries: those of the source (untagged and small: BT.601), BT.709 for HDR
  damaged  seconds between which it is: there pictures and beeps may be others, and the result says where. GOPs are of a second
  lost     frames that may be missing at most: of those whose times are lost too
  varies   the rate; times are ticks of 90 kHz
"""

WIDE = (170, 96)
SMALL = ("smpte170m", "smpte170m", "smpte170m")
PAL = ("bt470bg", "smpte170m", "bt470bg")
HD = ("bt709", "bt709", "bt709")


def steady(count, rate=25.0, first=0):
    return [(first + i, i / rate) for i in range(count)]


def film(frames=None, size=WIDE, beeps=(0, 1, 2, 3), sound=4.0, tracks=1, damaged=None, lost=0, varies=False, channels=2, colours=SMALL,
         tolerance=0.02, languages=None):
    return {"frames": steady(100) if frames is None else frames, "size": size, "beeps": beeps, "sound": sound, "tracks": tracks if beeps else 0,
            "damaged": damaged, "lost": lost, "varies": varies, "channels": channels, "colours": colours, "tolerance": tolerance, "languages": languages}


def silent(frames=None, size=WIDE):
    return film(frames, size, beeps=())


def unnumbered(frames):
    return [(None, seconds) for _, seconds in frames]


TONGUES = {"en": (False, 600), "de": (True, 800), "fr": (False, 1200)}
VARIABLE = [(n, (3600 * n + 360 * (n * n % 5)) / 90000) for n in range(100) if not (30 <= n <= 60 and n % 2) and not 70 <= n <= 84]
FIELDS = (160, 96)
NTSC = 30000 / 1001
FIRST_FIELDS = [(3 * i, i / 25) for i in range(100)]
TOP_FIELDS = [(4 * (i // 5) + (0, 1, 1, 2, 3)[i % 5], i / NTSC) for i in range(120)]  # four frames pulled down to five

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
    "vfr.mp4": film(VARIABLE, varies=True),
    "rotated_90.mp4": film(size=(96, 170)),
    "rotated_180.mp4": film(),
    "rotated_270.mp4": film(size=(96, 170)),
    "odd_size.webm": film(),
    "odd_size.mkv": film(size=(172, 96)),
    "anamorphic.mp4": film(),
    "film_23976.mp4": film(steady(96, 24000 / 1001)),
    "ntsc_2997.mp4": film(steady(120, NTSC)),
    "jitter.mkv": film(steady(120, NTSC)),
    "interlaced_tff.mp4": film(FIRST_FIELDS, FIELDS),
    "interlaced_bff.mp4": film(FIRST_FIELDS, FIELDS),
    "interlaced_untagged.mkv": film(unnumbered(steady(100)), FIELDS),
    "telecine.ts": film(TOP_FIELDS, FIELDS),
    "long_gop.mp4": film(steady(300), beeps=tuple(range(12)), sound=12.0),
    "edit_list.mp4": film(steady(65, first=35), beeps=(0.6, 1.6), sound=2.6),
    "late_audio.mp4": film(beeps=(1.5, 2.5, 3.5)),
    "several_audio.mkv": film(tracks=3, languages=TONGUES),
    "several_audio.mp4": film(tracks=3, languages=TONGUES),
    "mono_8k.mp4": film(sound=4.096, channels=1),  # a frame of its AAC is 0.128 s
    "surround.mp4": film(),
    "discontinuity.ts": film([(i % 100, i / 25) for i in range(200)], beeps=tuple(range(8)), sound=8.0),
    "black_start.mp4": film(unnumbered(steady(150)), beeps=tuple(range(6)), sound=6.0),
    "audio_only.m4a": film([], None),
    "audio_only.wav": film([], None),
    "cover_art.m4a": film([], None),
    "damaged.mp4": film(damaged=(1.6, 3)),
    "damaged.ts": film(damaged=(1.6, 3), lost=24),
}

# What `spool transcode` says of those that it refuses.
REFUSED = {
    "empty.mp4": "the file is empty",
    "text.mp4": "this is a text file, not a video",
    "truncated_with_moov.mp4": "the file is cut off: at least",
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
