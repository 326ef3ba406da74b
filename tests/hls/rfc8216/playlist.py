"""Playlist text into tags (sections 4.1 to 4.3)."""
import re

ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^,]*)(,|$)')
DECIMAL_INTEGER = re.compile(r"\d{1,20}$")
DECIMAL_FLOAT = re.compile(r"\d+(\.\d+)?$")
SIGNED_FLOAT = re.compile(r"-?\d+(\.\d+)?$")
RESOLUTION = re.compile(r"\d+x\d+$")

MEDIA_ONLY = {"EXTINF", "EXT-X-BYTERANGE", "EXT-X-DISCONTINUITY", "EXT-X-KEY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME",
              "EXT-X-DATERANGE", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE",
              "EXT-X-ENDLIST", "EXT-X-PLAYLIST-TYPE", "EXT-X-I-FRAMES-ONLY"}
MASTER_ONLY = {"EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA",
               "EXT-X-SESSION-KEY"}
EITHER = {"EXTM3U", "EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START"}
AT_MOST_ONCE = {"EXT-X-VERSION": "4.3.1.2", "EXT-X-TARGETDURATION": "4.3.3.1", "EXT-X-MEDIA-SEQUENCE": "4.3.3.2",
                "EXT-X-DISCONTINUITY-SEQUENCE": "4.3.3.3", "EXT-X-PLAYLIST-TYPE": "4.3.3.5",
                "EXT-X-I-FRAMES-ONLY": "4.3.3.6", "EXT-X-INDEPENDENT-SEGMENTS": "4.3.5.1", "EXT-X-START": "4.3.5.2",
                "EXT-X-ENDLIST": "4.3.3.4", "EXTM3U": "4.3.1.1"}


class Tag:
    def __init__(self, line, name, value):
        self.line, self.name, self.value = line, name, value
        self.attributes = {}

    def text(self, name):
        """An attribute without its quotes, or None."""
        value = self.attributes.get(name)
        return value.strip('"') if value is not None else None


class Playlist:
    def __init__(self, path):
        self.path = path
        self.entries = []  # Tag, or (line, uri)

    def tags(self, name):
        return [e for e in self.entries if isinstance(e, Tag) and e.name == name]

    def tag(self, name):
        found = self.tags(name)
        return found[0] if found else None


def attributes(report, path, tag):
    rest, seen = tag.value, {}
    while rest:
        match = ATTRIBUTE.match(rest)
        if not match:
            report.wrong("4.2", path, tag.line, f"not an attribute list: {rest[:60]!r}")
            return seen
        if match[1] in seen:
            report.wrong("4.2", path, tag.line, f"attribute {match[1]} stands twice")
        seen[match[1]] = match[2]
        rest = rest[match.end():]
        if match[3] == "," and not rest:
            report.wrong("4.2", path, tag.line, "an attribute list ends with a comma")
    return seen


WITH_ATTRIBUTES = {"EXT-X-MAP", "EXT-X-START", "EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF",
                   "EXT-X-KEY", "EXT-X-SESSION-DATA", "EXT-X-DATERANGE"}


def read(report, path):
    """A Playlist, or None when it cannot be read as one."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        report.wrong("4.1", path, 0, f"cannot be read: {error.strerror}")
        return None
    if raw.startswith(b"\xef\xbb\xbf"):
        report.wrong("4.1", path, 1, "begins with a byte order mark")
        raw = raw[3:]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        report.wrong("4.1", path, 0, "is not UTF-8")
        return None
    playlist = Playlist(path)
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != "#EXTM3U":
        report.wrong("4.3.1.1", path, 1, "the first line must be #EXTM3U")
    for number, line in enumerate(lines, 1):
        if any(ord(c) < 0x20 or 0x7f <= ord(c) <= 0x9f for c in line):
            report.wrong("4.1", path, number, "a control character")
        if not line or (line.startswith("#") and not line.startswith("#EXT")):
            continue
        if not line.startswith("#"):
            playlist.entries.append((number, line))
            continue
        name, _, value = line[1:].partition(":")
        tag = Tag(number, name, value)
        if name in WITH_ATTRIBUTES:
            tag.attributes = attributes(report, path, tag)
        playlist.entries.append(tag)
    check_tags(report, playlist)
    return playlist


def check_tags(report, playlist):
    names = [e.name for e in playlist.entries if isinstance(e, Tag)]
    media, of_master = MEDIA_ONLY & set(names), MASTER_ONLY & set(names)
    if media and of_master:
        report.wrong("4.1", playlist.path, 0, f"{sorted(media)[0]} and {sorted(of_master)[0]} in one playlist")
    for name, section in AT_MOST_ONCE.items():
        if names.count(name) > 1:
            report.wrong(section, playlist.path, playlist.tags(name)[1].line, f"a second {name}")
    for entry in playlist.entries:
        if isinstance(entry, Tag) and entry.name not in MEDIA_ONLY | MASTER_ONLY | EITHER:
            report.wrong("4.1", playlist.path, entry.line, f"unknown tag {entry.name}")
    start = playlist.tag("EXT-X-START")
    if start and not SIGNED_FLOAT.match(start.attributes.get("TIME-OFFSET", "")):
        report.wrong("4.3.5.2", playlist.path, start.line, "EXT-X-START needs a TIME-OFFSET")
    version = playlist.tag("EXT-X-VERSION")
    if version and not DECIMAL_INTEGER.match(version.value):
        report.wrong("4.3.1.2", playlist.path, version.line, "EXT-X-VERSION is no number")
    needed = needed_version(playlist, names)
    if int(version.value if version and version.value.isdigit() else 1) < needed:
        report.wrong("7", playlist.path, version.line if version else 0, f"needs EXT-X-VERSION {needed}")


def needed_version(playlist, names):
    needed = 1
    if any("." in tag.value.split(",")[0] for tag in playlist.tags("EXTINF")):
        needed = 3
    if "EXT-X-BYTERANGE" in names or "EXT-X-I-FRAMES-ONLY" in names:
        needed = 4
    if "EXT-X-MAP" in names:
        needed = 5 if "EXT-X-I-FRAMES-ONLY" in names else 6
    return needed
