"""What a growing HLS folder holds, seen from outside."""
import itertools
import pathlib
import re


def media_playlists(folder):
    """URIs of the variants (lowest bandwidth first) and of the audio renditions of folder/master.m3u8."""
    lines = pathlib.Path(folder, "master.m3u8").read_text().splitlines()
    variants, audio = [], []
    for number, line in enumerate(lines):
        if line.startswith("#EXT-X-STREAM-INF:"):
            bandwidth = int(re.search(r"[:,]BANDWIDTH=(\d+)", line)[1])
            has_video = "RESOLUTION=" in line
            if has_video:
                variants.append((bandwidth, lines[number + 1]))
        elif line.startswith("#EXT-X-MEDIA:TYPE=AUDIO") and "URI=" in line:
            audio.append(re.search(r'URI="([^"]+)"', line)[1])
    return [uri for _, uri in sorted(variants)], audio


def segments(playlist):
    """(init segment, [segments]) as paths."""
    playlist = pathlib.Path(playlist)
    text = playlist.read_text()
    init = re.search(r'#EXT-X-MAP:URI="([^"]+)"', text)
    uris = [line for line in text.splitlines() if line and not line.startswith("#")]
    return playlist.parent / init[1] if init else None, [playlist.parent / uri for uri in uris]


def joins(playlist):
    """Where a playlist's segments meet, in seconds from its start."""
    lengths = [float(found) for found in re.findall(r"#EXTINF:([\d.]+)", pathlib.Path(playlist).read_text())]
    return list(itertools.accumulate(lengths))[:-1]


def first_segment_playable(folder, lowest, audio):
    """A function that says whether the lowest rung's first segment and its audio can be played now: named by their
    playlists, and there, and the playlists by a master playlist. They stand under folder/lowest and folder/audio."""
    def there(playlist):
        try:
            init, listed = segments(playlist)
            return bool(listed) and init.stat().st_size > 0 and listed[0].stat().st_size > 0
        except (OSError, AttributeError, TypeError):
            return False

    def in_master():
        try:
            text = next(file for file in (pathlib.Path(folder, name) for name in ("early.m3u8", "master.m3u8")) if file.exists()).read_text()
            return f"\n{lowest}\n" in text and f'"{audio}"' in text
        except (OSError, StopIteration):
            return False

    return lambda: there(pathlib.Path(folder, lowest)) and there(pathlib.Path(folder, audio)) and in_master()
