"""corpus_test.py FILM: what `spool transcode` makes of a film of the corpus, looked at from outside. --list: their names.

Python's standard library and the ffmpeg programs. films.py says what is expected.
"""
import importlib.machinery
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from films import FILMS, REFUSED
from made_film import Rendition, ffprobe

HERE = pathlib.Path(__file__).resolve().parent
SPOOL = os.environ.get("SPOOL", "build/dev/spool")
LADDER = {"name": "corpus", "audio_bits_per_second": 128000, "segment_seconds": 2, "gop_seconds": 1,
          "rungs": [{"name": "low", "short_side": 96, "codec": "h264", "crf": 28, "max_bits_per_second": 400000}]}
AAC_FRAME = 1024 / 48000
wrong = []


def expect(holds, what):
    if not holds:
        wrong.append(what)


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


def transcode(name, folder):
    """Gives (output folder, what the program ended with)."""
    made = run(sys.executable, "-B", HERE / "make_corpus", name)
    if made.returncode != 0:
        sys.exit(made.stderr)
    ladder = folder / "corpus.yaml"
    ladder.write_text(json.dumps(LADDER))
    out = folder / "out"
    return out, run(SPOOL, "transcode", made.stdout.strip(), "-o", out, "--ladder", ladder, "--slots", "1", "--json")


def check_damage(damage, film):
    """Where the source was hurt, pictures up to the end of that GOP; nowhere else."""
    expect(bool(film["damaged"]) == any(stretch["track"] == "video" for stretch in damage), f"the result says of damage: {damage}")
    if not film["damaged"]:
        expect(not damage, f"the result says of damage: {damage}")
        return
    first, last = film["damaged"]
    for stretch in damage:
        slack = 0.001 if stretch["track"] == "video" else AAC_FRAME
        expect(first - slack <= stretch["from"] < stretch["to"] <= last + slack, f"damage at {stretch}, not between {first} and {last}")


def check_pictures(video, film, damage):
    frames = film["frames"]
    timescale = video.init.timescale
    shown = sorted(video.pts)
    expect(video.holes == [], f"holes in the video's decode times: {video.holes}")
    expect(len(set(shown)) == len(shown), "two frames at one time")
    times = [pts - shown[0] for pts in shown]
    expect(len(frames) - film["lost"] <= len(times) <= len(frames), f"{len(times)} frames of {len(frames)}")
    if film["lost"]:
        frames = [min(frames, key=lambda frame: abs(frame[1] - t)) for t in times]
    late = [(i, t, e) for i, (t, (_, e)) in enumerate(zip(times, frames)) if abs(t - e) > 0.0006]
    expect(not late, f"frames at other times than the source's (index, seconds, expected): {late[:5]}, {len(late)} in all")
    if film["varies"]:
        expect(timescale == 90000, f"{timescale} ticks a second")
        expect([round(t * 90000) for t in times] == [round(e * 90000) for _, e in frames], "a frame is ticks away from its time")
    if frames[0][0] is not None:
        numbers = video.numbers()
        expect(len(numbers) == len(frames), f"{len(numbers)} pictures of {len(frames)}")
        hurt = [any(d["track"] == "video" and d["from"] - 0.001 <= t < d["to"] - 0.001 for d in damage) for t in times]
        other = [(i, n, e) for i, (n, (e, _), h) in enumerate(zip(numbers, frames, hurt)) if n != e and not h]
        expect(not other, f"other pictures (index, number, expected): {other}")
    length = video.ticks / video.init.timescale
    expect(abs(video.extinf - length) < 0.002, f"EXTINF says {video.extinf} s of {length}")


def check_look(video, film):
    found = ffprobe(video.path)[0]
    expect((found["width"], found["height"]) == film["size"], f"{found['width']}x{found['height']}, not {film['size']}")
    expect(found.get("sample_aspect_ratio", "1:1") == "1:1", f"pixels of {found.get('sample_aspect_ratio')}")
    expect(not any("rotation" in side for side in found.get("side_data_list", [])), "still rotated")
    expect(found["pix_fmt"] == "yuv420p", f"pixels are {found['pix_fmt']}")
    expect(found.get("color_range") == "tv", f"range {found.get('color_range')}")
    colours = tuple(found.get(key) for key in ("color_space", "color_transfer", "color_primaries"))
    expect(colours == film["colours"], f"colours are {colours}, not {film['colours']}")


def check_sound(sound, film, clock):
    """`clock`: where the first frame is on the presentation's clock."""
    expect(sound.holes == [], f"holes in the sound's decode times: {sound.holes}")
    expect(sound.init.channels == film["channels"], f"{sound.init.channels} channels")
    expect(abs(sound.end - clock - film["sound"]) < 2 * AAC_FRAME, f"the sound ends at {sound.end - clock:.4f} s, not {film['sound']}")
    first, last = film["damaged"] or (0, 0)
    beeps, expected = ([b for b in all_ if not first <= b + film["tolerance"] < last]
                       for all_ in ([beep - clock for beep in sound.beeps()], film["beeps"]))
    expect(len(beeps) == len(expected) and all(abs(b - e) < film["tolerance"] for b, e in zip(beeps, expected)),
           f"beeps at {[round(b, 4) for b in beeps]}, not {expected}")


def check_languages(out, languages):
    told = re.findall(r'#EXT-X-MEDIA:TYPE=AUDIO,.*LANGUAGE="(\w+)",DEFAULT=(\w+),.*URI="(.+)"', (out / "master.m3u8").read_text())
    expect({language: default == "YES" for language, default, _ in told} == {key: value[0] for key, value in languages.items()},
           f"tracks are {told}")
    for language, _, uri in told:
        pitch = Rendition(out / uri).pitch()
        expect(abs(pitch - languages[language][1]) < 30, f"the beeps of {language} are of {pitch:.0f} Hz: another track's")


def check(name):
    film = FILMS[name]
    with tempfile.TemporaryDirectory(prefix="spool-corpus-") as folder:
        out, done = transcode(name, pathlib.Path(folder))
        if done.returncode != 0:
            sys.exit(f"{name}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        result = json.loads(done.stdout)["result"]
        hls = run(sys.executable, "-B", HERE.parent / "hls/rfc8216_check", out)
        expect(hls.returncode == 0, hls.stdout)
        played = run("ffmpeg", "-v", "warning", "-nostdin", "-i", out / "master.m3u8", "-fps_mode", "passthrough", "-f", "null", "-")
        # FFmpeg 5.1 knows no subtitles in HLS, and says so of each.
        said = [line for line in played.stderr.splitlines() if "Can't support the subtitle" not in line]
        expect(played.returncode == 0 and not any(said), f"ffmpeg says: {said}")
        clock = 0.0
        expect((out / "low").is_dir() == bool(film["frames"]), "video where there is none, or none where there is")
        if film["frames"]:
            video = Rendition(out / "low/playlist.m3u8")
            clock = min(video.pts)
            check_damage(result["damage"], film)
            check_pictures(video, film, result["damage"])
            check_look(video, film)
        sounds = sorted(out.glob("audio-*/playlist.m3u8"))
        expect(len(sounds) == film["tracks"], f"{len(sounds)} renditions of sound, not {film['tracks']}")
        if film["languages"]:
            check_languages(out, film["languages"])
        starts = [clock]
        for playlist in sounds:
            sound = Rendition(playlist)
            starts.append(max(sound.pts[0], 0.0))
            check_sound(sound, film, clock)
        expect(abs(min(starts)) < 0.1 and clock < 0.2, f"nothing begins at 0: {starts}")


def check_refused(name):
    with tempfile.TemporaryDirectory(prefix="spool-corpus-") as folder:
        out, done = transcode(name, pathlib.Path(folder))
        expect(done.returncode in (1, 2), f"exit code {done.returncode}")
        expect(f"/{name}: {REFUSED[name]}" in done.stderr, f"it said: {done.stderr}")
        left = [str(path) for path in out.rglob("*") if ".spool" not in path.relative_to(out).parts]
        expect(left == [], f"left behind: {left}")


def check_list():
    cases = set(importlib.machinery.SourceFileLoader("make_corpus", str(HERE / "make_corpus")).load_module().CASES)
    expect(cases == FILMS.keys() | REFUSED.keys(), f"films.py and make_corpus differ: {cases ^ (FILMS.keys() | REFUSED.keys())}")


def main(word):
    if word == "--list":
        print(";".join([*FILMS, *REFUSED]), end="")
        return
    if word == "--complete":
        check_list()
    else:
        check(word) if word in FILMS else check_refused(word)
    for what in wrong:
        print(f"{word}: {what}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(sys.argv[1])
