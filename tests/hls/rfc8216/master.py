"""The master playlist and how its media playlists belong together (sections 4.3.4, 6.2.4)."""
from . import media, playlist as text

YES_NO = ("YES", "NO")
ALIGNMENT = 0.001  # seconds between variants
AUDIO_FRAME = 1024


class Presentation:
    def __init__(self):
        self.media = {}  # path -> Media
        self.segments = 0

    def of_folder(self, name):
        return next((m for path, m in self.media.items() if path.parent.name == name and not m.iframes), None)


def check(report, path, growing):
    source = text.read(report, path)
    presentation = Presentation()
    if source is None:
        return presentation
    groups = check_groups(report, source)
    variants = check_variants(report, source, groups)
    iframes = check_iframe_streams(report, source)
    for tag, uri in variants:
        load(report, presentation, path.parent / uri, growing)
    for members in groups.values():
        for tag in members:
            if tag.text("URI"):
                load(report, presentation, path.parent / tag.text("URI"), growing,
                     tag.attributes.get("TYPE") == "SUBTITLES")
    for tag, uri in iframes:
        found = load(report, presentation, path.parent / uri, growing)
        if not found.iframes:
            report.wrong("4.3.4.3", path, tag.line, f"{uri} is no I-frame playlist")
    compare(report, path, presentation, groups, variants, iframes, growing)
    presentation.segments = sum(len(m.entries) for m in presentation.media.values() if not m.iframes)
    return presentation


def load(report, presentation, path, growing, subtitles=False):
    path = path.resolve()
    if path not in presentation.media:
        presentation.media[path] = media.check(report, path, growing, subtitles)
    return presentation.media[path]


def need(report, source, tag, section, names):
    for name in names:
        if name not in tag.attributes:
            report.wrong(section, source.path, tag.line, f"{tag.name} without {name}")


def check_groups(report, source):
    """(type, group id) -> its EXT-X-MEDIA tags."""
    groups = {}
    for tag in source.tags("EXT-X-MEDIA"):
        need(report, source, tag, "4.3.4.1", ("TYPE", "GROUP-ID", "NAME"))
        kind = tag.attributes.get("TYPE")
        values = tag.attributes
        if kind not in ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"):
            report.wrong("4.3.4.1", source.path, tag.line, f"unknown TYPE {kind}")
        if kind == "SUBTITLES" and "URI" not in values:
            report.wrong("4.3.4.1", source.path, tag.line, "SUBTITLES without a URI")
        if kind == "CLOSED-CAPTIONS" and ("URI" in values or "INSTREAM-ID" not in values):
            report.wrong("4.3.4.1", source.path, tag.line, "CLOSED-CAPTIONS need an INSTREAM-ID and no URI")
        if kind != "CLOSED-CAPTIONS" and "INSTREAM-ID" in values:
            report.wrong("4.3.4.1", source.path, tag.line, "INSTREAM-ID belongs to CLOSED-CAPTIONS")
        if "FORCED" in values and kind != "SUBTITLES":
            report.wrong("4.3.4.1", source.path, tag.line, "FORCED belongs to SUBTITLES")
        for name in ("DEFAULT", "AUTOSELECT", "FORCED"):
            if values.get(name, "NO") not in YES_NO:
                report.wrong("4.3.4.1", source.path, tag.line, f"{name}={values[name]}")
        if values.get("DEFAULT") == "YES" and values.get("AUTOSELECT", "YES") != "YES":
            report.wrong("4.3.4.1", source.path, tag.line, "DEFAULT=YES with AUTOSELECT=NO")
        groups.setdefault((kind, tag.text("GROUP-ID")), []).append(tag)
    for (kind, name), members in groups.items():
        names = [tag.text("NAME") for tag in members]
        if len(set(names)) < len(names):
            report.wrong("4.3.4.1.1", source.path, members[-1].line, f"two members of {kind} group {name} of one NAME")
        if sum(tag.attributes.get("DEFAULT") == "YES" for tag in members) > 1:
            report.wrong("4.3.4.1.1", source.path, members[-1].line, f"two defaults in {kind} group {name}")
    return groups


def check_stream(report, source, tag, section):
    bandwidth = tag.attributes.get("BANDWIDTH", "")
    if not text.DECIMAL_INTEGER.match(bandwidth):
        report.wrong(section, source.path, tag.line, "BANDWIDTH is missing or no number")
    for name, pattern in (("AVERAGE-BANDWIDTH", text.DECIMAL_INTEGER), ("RESOLUTION", text.RESOLUTION),
                          ("FRAME-RATE", text.DECIMAL_FLOAT)):
        if name in tag.attributes and not pattern.match(tag.attributes[name]):
            report.wrong(section, source.path, tag.line, f"{name}={tag.attributes[name]}")
    if not tag.attributes.get("CODECS", '""').startswith('"') or not tag.text("CODECS"):
        report.wrong(section, source.path, tag.line, "CODECS is missing or not quoted")


def check_variants(report, source, groups):
    variants = []
    for i, tag in enumerate(source.entries):
        if not isinstance(tag, text.Tag) or tag.name != "EXT-X-STREAM-INF":
            continue
        follower = source.entries[i + 1] if i + 1 < len(source.entries) else None
        if not isinstance(follower, tuple):
            report.wrong("4.3.4.2", source.path, tag.line, "no URI line follows EXT-X-STREAM-INF")
            continue
        check_stream(report, source, tag, "4.3.4.2")
        for kind in ("AUDIO", "VIDEO", "SUBTITLES"):
            if kind in tag.attributes and (kind, tag.text(kind)) not in groups:
                report.wrong("4.3.4.2", source.path, tag.line, f"no {kind} group {tag.attributes[kind]}")
        variants.append((tag, follower[1]))
    if not variants:
        report.wrong("4.3.4.2", source.path, 0, "no variant stream")
    captions = {tag.attributes["CLOSED-CAPTIONS"] for tag, _ in variants if "CLOSED-CAPTIONS" in tag.attributes}
    if "NONE" in captions and len(captions) > 1:
        report.wrong("4.3.4.2", source.path, 0, "CLOSED-CAPTIONS=NONE must stand in all variants or in none")
    return variants


def check_iframe_streams(report, source):
    found = []
    for tag in source.tags("EXT-X-I-FRAME-STREAM-INF"):
        need(report, source, tag, "4.3.4.3", ("BANDWIDTH", "URI"))
        check_stream(report, source, tag, "4.3.4.3")
        for name in ("FRAME-RATE", "AUDIO", "SUBTITLES", "CLOSED-CAPTIONS"):
            if name in tag.attributes:
                report.wrong("4.3.4.3", source.path, tag.line, f"{name} is not allowed here")
        if tag.text("URI"):
            found.append((tag, tag.text("URI")))
    return found


def compare(report, path, presentation, groups, variants, iframes, growing):
    videos = []
    for tag, uri in variants:
        main = presentation.media[(path.parent / uri).resolve()]
        sounds = [presentation.media[(path.parent / member.text("URI")).resolve()]
                  for member in groups.get(("AUDIO", tag.text("AUDIO")), []) if member.text("URI")]
        if main.init is None:
            continue
        check_claims(report, path, tag, main, [s for s in sounds if s is not main and s.init], growing)
        if main.init.video:
            videos.append(main)
    for tag, uri in iframes:
        frames = presentation.media[(path.parent / uri).resolve()]
        if frames.init is None:
            continue
        claims = int(tag.attributes.get("BANDWIDTH", "0"))
        if not growing and frames.peak() > claims + 1:
            report.wrong("4.3.4.3", path, tag.line, f"BANDWIDTH {claims} below the measured {frames.peak():.0f}")
        if frames.init.codecs != tag.text("CODECS"):
            report.wrong("4.3.4.3", path, tag.line, f"CODECS should be {frames.init.codecs}")
    same_target(report, presentation)
    aligned(report, videos, growing)
    if videos:
        sound_is_aligned(report, presentation, videos[0])


def check_claims(report, path, tag, main, sounds, growing):
    """What a variant says of itself against what its segments are."""
    claimed = int(tag.attributes.get("BANDWIDTH", "0"))
    # Section 4.3.4.2: of any playable combination. A variant of sound alone plays one member of its group.
    together = (lambda own, others: own + max(others, default=0)) if main.init.video else (
        lambda own, others: max([own] + others))
    peak = together(main.peak(), [s.peak() for s in sounds])
    average = together(main.average(), [s.average() for s in sounds])
    if peak > claimed + 1:
        report.wrong("4.3.4.2", path, tag.line, f"BANDWIDTH {claimed} below the measured peak {peak:.0f}")
    said = tag.attributes.get("AVERAGE-BANDWIDTH")
    if said and not growing and average > int(said) + 2:
        report.wrong("4.3.4.2", path, tag.line, f"AVERAGE-BANDWIDTH {said} below the measured {average:.0f}")
    codecs = (tag.text("CODECS") or "").split(",")
    for stream in [main] + sounds:
        if stream.init.codecs not in codecs:
            report.wrong("4.3.4.2", path, tag.line, f"CODECS lacks {stream.init.codecs}")
    present = {stream.init.codecs for stream in [main] + sounds}
    for codec in codecs:
        if codec not in present:
            report.wrong("4.3.4.2", path, tag.line, f"CODECS names {codec}, which no segment holds")
    if not main.init.video:
        return
    size = f"{main.init.width}x{main.init.height}"
    if tag.attributes.get("RESOLUTION", size) != size:
        report.wrong("4.3.4.2", path, tag.line, f"RESOLUTION is {size}")
    rate = tag.attributes.get("FRAME-RATE")
    if rate and len(main.sample_durations) == 1:  # constant
        measured = main.init.timescale / next(iter(main.sample_durations))
        if abs(float(rate) - measured) > 0.001:
            report.wrong("4.3.4.2", path, tag.line, f"FRAME-RATE {rate}, frames come at {measured:.3f}")


def same_target(report, presentation):
    """Section 6.2.4: all but subtitles and I-frame playlists of VOD and EVENT."""
    targets = {m.target: m for m in presentation.media.values() if m.init and not m.iframes}
    if len(targets) > 1:
        found = list(targets.values())[1]
        report.wrong("6.2.4", found.path, 0, f"target durations differ: {sorted(targets)}")


def aligned(report, videos, growing):
    """Section 6.2.4: matching content has matching timestamps in all variants."""
    for other in videos[1:]:
        first = videos[0]
        if not growing and len(first.entries) != len(other.entries):
            report.wrong("6.2.4", other.path, 0, f"{len(other.entries)} segments, {first.path.parent.name} has "
                                                 f"{len(first.entries)}")
        for mine, theirs in zip(other.entries, first.entries):
            if mine.start is None or theirs.start is None:
                continue
            if abs(mine.start - theirs.start) > ALIGNMENT or abs(mine.duration - theirs.duration) > ALIGNMENT:
                report.wrong("6.2.4", other.path, mine.line,
                             f"[{mine.start:.4f} s +{mine.duration:.4f}] is not aligned with "
                             f"{first.path.parent.name}'s [{theirs.start:.4f} s +{theirs.duration:.4f}]")
                break


def sound_is_aligned(report, presentation, video):
    """Segments of sound begin within half a frame of the video's, as far as both go."""
    for sound in presentation.media.values():
        if not sound.init or sound.init.video:
            continue
        frame = AUDIO_FRAME / sound.init.timescale
        for mine, theirs in zip(sound.entries, video.entries):
            if mine.start is None or theirs.start is None:
                continue
            if abs(mine.start - theirs.start) > frame / 2 + 0.001:
                report.wrong("6.2.4", sound.path, mine.line,
                             f"begins at {mine.start:.4f} s, the video's segment at {theirs.start:.4f} s")
                break
