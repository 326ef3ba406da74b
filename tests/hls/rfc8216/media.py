"""Media playlists and their segments (sections 4.3.2, 4.3.3, 3)."""
import re

from . import boxes, playlist as text

BYTERANGE = re.compile(r"(\d+)(?:@(\d+))?$")
TOLERANCE = 0.0015  # seconds between what EXTINF says and what is there


class Entry:
    def __init__(self, line, uri, seconds, byte_range):
        self.line, self.uri, self.seconds, self.byte_range = line, uri, seconds, byte_range
        self.bytes = 0
        self.start = self.duration = None  # of the media, in seconds


class Media:
    """A media playlist with what its segments hold."""

    def __init__(self, path):
        self.path = path
        self.entries = []
        self.target = 0
        self.init = None
        self.iframes = False
        self.ended = False
        self.sample_durations = set()

    def peak(self):
        """Section 4.1: the largest bit rate of any run of segments of 0.5 to 1.5 target durations."""
        best = 0
        for i in range(len(self.entries)):
            length = size = 0
            for entry in self.entries[i:]:
                if length + entry.duration > 1.5 * self.target:
                    break
                length += entry.duration
                size += entry.bytes
                if length >= 0.5 * self.target:
                    best = max(best, 8 * size / length)
        return best or self.average()

    def average(self):
        length = sum(e.duration for e in self.entries)
        return 8 * sum(e.bytes for e in self.entries) / length if length else 0


def check(report, path, growing, subtitles=False):
    source = text.read(report, path)
    media = Media(path)
    if source is None:
        return media
    target = source.tag("EXT-X-TARGETDURATION")
    if target is None or not text.DECIMAL_INTEGER.match(target.value):
        report.wrong("4.3.3.1", path, 0, "EXT-X-TARGETDURATION is missing or no number")
    else:
        media.target = int(target.value)
    media.iframes = source.tag("EXT-X-I-FRAMES-ONLY") is not None
    media.ended = source.tag("EXT-X-ENDLIST") is not None
    if not growing and not media.ended:
        report.wrong("6.2.1", path, 0, "finished, but without EXT-X-ENDLIST")
    kind = source.tag("EXT-X-PLAYLIST-TYPE")
    if kind and kind.value not in ("EVENT", "VOD"):
        report.wrong("4.3.3.5", path, kind.line, f"unknown type {kind.value}")
    entries(report, source, media)
    for entry in media.entries:
        if media.target and int(entry.seconds + 0.5) > media.target:
            report.wrong("4.3.3.1", path, entry.line,
                         f"EXTINF {entry.seconds} rounds to more than the target duration {media.target}")
    if subtitles:
        check_subtitles(report, media)
    else:
        load_init(report, source, media)
        if media.init:
            check_segments(report, media)
    for entry in media.entries:
        entry.duration = entry.seconds if entry.duration is None else entry.duration
    return media


def entries(report, source, media):
    seconds = byte_range = None
    last_end = {}
    first_segment = next((e[0] for e in source.entries if isinstance(e, tuple)), None)
    sequence = source.tag("EXT-X-MEDIA-SEQUENCE")
    if sequence and first_segment and sequence.line > first_segment:
        report.wrong("4.3.3.2", source.path, sequence.line, "EXT-X-MEDIA-SEQUENCE behind a segment")
    for entry in source.entries:
        if isinstance(entry, tuple):
            line, uri = entry
            if seconds is None:
                report.wrong("4.3.2.1", source.path, line, "a segment without EXTINF")
            if byte_range and byte_range[1] is None:
                if uri not in last_end:
                    report.wrong("4.3.2.2", source.path, line, "EXT-X-BYTERANGE without an offset follows no sub-range")
                byte_range = (byte_range[0], last_end.get(uri, 0))
            if byte_range:
                last_end[uri] = sum(byte_range)
            media.entries.append(Entry(line, uri, seconds or 0.0, byte_range))
            seconds = byte_range = None
        elif entry.name == "EXTINF":
            value = entry.value.partition(",")
            if not text.DECIMAL_FLOAT.match(value[0]) or not value[1]:
                report.wrong("4.3.2.1", source.path, entry.line, f"EXTINF:{entry.value} is not <duration>,<title>")
            else:
                seconds = float(value[0])
        elif entry.name == "EXT-X-BYTERANGE":
            match = BYTERANGE.match(entry.value)
            if not match:
                report.wrong("4.3.2.2", source.path, entry.line, f"not a byte range: {entry.value}")
            else:
                byte_range = (int(match[1]), int(match[2]) if match[2] else None)


def load(report, media, entry):
    """The bytes of a segment, or None."""
    path = media.path.parent / entry.uri
    if not path.is_file():
        report.wrong("4.3.2", media.path, entry.line, f"{entry.uri} is no file")
        return None
    data = path.read_bytes()
    if entry.byte_range:
        size, offset = entry.byte_range
        if offset + size > len(data):
            report.wrong("4.3.2.2", media.path, entry.line, f"{entry.uri} has only {len(data)} bytes")
            return None
        data = data[offset:offset + size]
    entry.bytes = len(data)
    return data


def load_init(report, source, media):
    tag = source.tag("EXT-X-MAP")
    if tag is None or tag.text("URI") is None:
        report.wrong("3.3", media.path, 0, "fragmented MP4 needs EXT-X-MAP with a URI")
        return
    if media.entries and tag.line > media.entries[0].line:
        report.wrong("4.3.2.5", media.path, tag.line, "EXT-X-MAP behind the segments that need it")
    path = media.path.parent / tag.text("URI")
    try:
        media.init = boxes.Init(path.read_bytes())
    except OSError as error:
        report.wrong("4.3.2.5", media.path, tag.line, f"{path.name}: {error.strerror}")
    except (boxes.Damaged, IndexError, StopIteration) as error:
        report.wrong("3.3", path, 0, str(error))


def check_segments(report, media):
    expected = None  # where the next segment's decode times must begin
    sequence = 0
    claimed = 0.0
    independent = True
    for entry in media.entries:
        data = load(report, media, entry)
        if data is None:
            continue
        try:
            fragments = boxes.fragments(data)
        except (boxes.Damaged, IndexError) as error:
            report.wrong("3.3", media.path, entry.line, f"{entry.uri}: {error}")
            continue
        if not fragments or not fragments[0].samples:
            report.wrong("3.3", media.path, entry.line, f"{entry.uri}: no samples")
            continue
        sequence = check_order(report, media, entry, fragments, sequence)
        independent = check_begins_with_idr(report, media, entry, data, fragments) and independent
        end = times(media, entry, fragments)
        if not media.iframes:
            if expected is not None and fragments[0].decode_time != expected:
                report.wrong("3", media.path, entry.line,
                             f"decode time {fragments[0].decode_time}, but the segment before ended at {expected}")
            expected = end
            if abs(entry.duration - entry.seconds) > TOLERANCE:
                report.wrong("4.3.2.1", media.path, entry.line,
                             f"EXTINF says {entry.seconds}, the segment lasts {entry.duration:.6f}")
        if claimed and abs(entry.start - claimed) > 0.02:
            report.wrong("4.3.2.1", media.path, entry.line,
                         f"begins at {entry.start:.4f} s, by the durations before it at {claimed:.4f} s")
        claimed = entry.start + entry.seconds
    if media.iframes:
        iframe_durations(media)


def iframe_durations(media):
    """Section 4.3.3.6: an I-frame lasts until the next one."""
    for entry, following in zip(media.entries, media.entries[1:]):
        if entry.start is not None and following.start is not None:
            entry.duration = following.start - entry.start
    if media.entries:
        media.entries[-1].duration = media.entries[-1].seconds


def check_order(report, media, entry, fragments, sequence):
    """Sequence numbers rise; decode times run on within a segment."""
    for before, fragment in zip([None] + fragments[:-1], fragments):
        if fragment.sequence <= sequence:
            report.wrong("3.3", media.path, entry.line,
                         f"{entry.uri}: moof {fragment.sequence} behind moof {sequence}")
        sequence = fragment.sequence
        if before and before.decode_time + sum(s[0] for s in before.samples) != fragment.decode_time:
            report.wrong("3.3", media.path, entry.line, f"{entry.uri}: a hole in the decode times")
    return sequence


def check_begins_with_idr(report, media, entry, data, fragments):
    if not media.init.video:
        return True
    first = fragments[0].samples[0]
    if first[2] and boxes.is_idr(media.init, data, first):
        return True
    section, what = ("4.3.3.6", "an I-frame's byte range") if media.iframes else ("4.3.5.1", "an independent segment")
    report.wrong(section, media.path, entry.line, f"{entry.uri}: {what} does not begin with an IDR")
    return False


def times(media, entry, fragments):
    """Fills in start and duration; gives the decode time that must follow."""
    init = media.init
    shown = []
    at = fragments[0].decode_time
    for fragment in fragments:
        at = fragment.decode_time
        for duration, _, _, composition, _ in fragment.samples:
            shown.append((at + composition - init.shift, duration))
            at += duration
            media.sample_durations.add(duration)
    begin = max(min(shown)[0], 0)
    # Decode times end where the next segment's begin, and its first frame is shown as much later as this one's was.
    lead = 0 if not init.video else min(shown)[0] + init.shift - fragments[0].decode_time
    entry.start = begin / init.timescale
    entry.duration = (at + lead - init.shift - begin) / init.timescale
    return at


def check_subtitles(report, media):
    start = 0.0
    for entry in media.entries:
        data = load(report, media, entry)
        entry.start, entry.duration = start, entry.seconds
        end = start + entry.seconds
        start = end
        if data is None:
            continue
        lines = data.decode("utf-8", "replace").split("\n")
        if not lines[0].startswith("WEBVTT"):
            report.wrong("3.5", media.path, entry.line, f"{entry.uri}: no WEBVTT header")
        if not any(line.startswith("X-TIMESTAMP-MAP=") for line in lines[:3]):
            report.wrong("3.5", media.path, entry.line, f"{entry.uri}: no X-TIMESTAMP-MAP")
        for line in lines:
            match = re.match(r"(?:(\d+):)?(\d\d):(\d\d\.\d{3}) --> (?:(\d+):)?(\d\d):(\d\d\.\d{3})", line)
            if not match:
                continue
            hours, minutes, seconds, hours2, minutes2, seconds2 = match.groups()
            begins = int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
            ends = int(hours2 or 0) * 3600 + int(minutes2) * 60 + float(seconds2)
            if ends <= entry.start - 0.001 or begins >= end + 0.001:
                report.wrong("3.5", media.path, entry.line, f"{entry.uri}: a cue at {begins} outside the segment")
