"""A DASH manifest (ISO/IEC 23009-1) against the same segments."""
import re
import xml.etree.ElementTree as xml

NAMESPACE = {"d": "urn:mpeg:dash:schema:mpd:2011"}


def duration(text):
    match = re.match(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?$", text or "")
    if not match:
        return None
    return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3] or 0)


def timeline(template):
    at = 0
    for s in template.findall("d:SegmentTimeline/d:S", NAMESPACE):
        at = int(s.get("t", at))
        for _ in range(int(s.get("r", 0)) + 1):
            yield at, int(s.get("d"))
            at += int(s.get("d"))


def check(report, path, presentation):
    try:
        mpd = xml.parse(path).getroot()
    except xml.ParseError as error:
        report.wrong("DASH", path, 0, f"not XML: {error}")
        return
    whole = duration(mpd.get("mediaPresentationDuration"))
    if mpd.get("type") != "static" or whole is None:
        report.wrong("DASH", path, 0, "must be static with a mediaPresentationDuration")
    end = 0
    seen = 0
    for representation in mpd.iterfind(".//d:Representation", NAMESPACE):
        template = representation.find("d:SegmentTemplate", NAMESPACE)
        if template is None:
            base = representation.find("d:BaseURL", NAMESPACE)
            if base is None or not (path.parent / base.text).is_file():
                report.wrong("DASH", path, 0, f"{representation.get('id')}: neither segments nor a file")
            continue
        seen += 1
        end = max(end, check_representation(report, path, representation, template, presentation))
    expected = sum(1 for m in presentation.media.values() if m.init and not m.iframes)
    if seen != expected:
        report.wrong("DASH", path, 0, f"{seen} representations, {expected} renditions in HLS")
    if whole is not None and abs(whole - end) > 0.01:
        report.wrong("DASH", path, 0, f"mediaPresentationDuration {whole}, the segments end at {end:.3f}")


def check_representation(report, path, representation, template, presentation):
    name = representation.get("id")
    folder = template.get("media").split("/")[0]
    media = presentation.of_folder(folder)
    if media is None or media.init is None:
        report.wrong("DASH", path, 0, f"{name}: no such rendition in HLS")
        return 0
    scale = int(template.get("timescale", 1))
    segments = list(timeline(template))
    if len(segments) != len(media.entries):
        report.wrong("DASH", path, 0, f"{name}: {len(segments)} segments, HLS has {len(media.entries)}")
    number = int(template.get("startNumber", 1))
    for (start, length), entry in zip(segments, media.entries):
        uri = template.get("media").replace("$Number%05d$", f"{number:05}")
        number += 1
        if (path.parent / uri).resolve() != (media.path.parent / entry.uri).resolve():
            report.wrong("DASH", path, 0, f"{name}: {uri} is not HLS's {entry.uri}")
        if entry.start is None:
            continue
        if abs(start / scale - entry.start) > 0.001 or abs(length / scale - entry.duration) > 0.001:
            report.wrong("DASH", path, 0, f"{name}: S t={start} d={length}, the segment has [{entry.start:.4f} s "
                                          f"+{entry.duration:.4f}]")
    if not (path.parent / template.get("initialization")).is_file():
        report.wrong("DASH", path, 0, f"{name}: no init segment")
    if representation.get("codecs") != media.init.codecs:
        report.wrong("DASH", path, 0, f"{name}: codecs should be {media.init.codecs}")
    if int(representation.get("bandwidth", 0)) + 1 < media.peak():
        report.wrong("DASH", path, 0, f"{name}: bandwidth below the measured peak {media.peak():.0f}")
    return sum(segments[-1]) / scale if segments else 0
