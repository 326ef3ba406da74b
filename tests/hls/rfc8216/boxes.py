"""As much of ISO BMFF (ISO/IEC 14496-12) as fMP4 segments need."""
import struct


class Damaged(Exception):
    pass


def boxes(data, start=0, end=None):
    """(type, offset of the header, offset of the body, end) of the boxes side by side."""
    end = len(data) if end is None else end
    at = start
    while at < end:
        if end - at < 8:
            raise Damaged(f"{end - at} bytes behind the last box")
        size, kind = struct.unpack_from(">I4s", data, at)
        body = at + 8
        if size == 1:
            size, body = struct.unpack_from(">Q", data, at + 8)[0], at + 16
        if size < body - at or at + size > end:
            raise Damaged(f"box {kind!r} at byte {at} does not fit")
        yield kind.decode("latin-1"), at, body, at + size
        at += size


def find(data, path, start=0, end=None):
    for kind, _, body, stop in boxes(data, start, end):
        if kind == path[0]:
            return (body, stop) if len(path) == 1 else find(data, path[1:], body, stop)
    raise Damaged(f"no {path[0]!r} box")


class Init:
    """Of an init segment: timescale, shift (the edit's media time), handler, codec string, size, channels."""

    def __init__(self, data):
        kinds = [kind for kind, *_ in boxes(data)]
        if kinds[:2] != ["ftyp", "moov"]:
            raise Damaged(f"an init segment of {kinds}, not ftyp and moov")
        trak = find(data, ["moov", "trak"])
        find(data, ["moov", "mvex"])
        body, _ = find(data, ["mdia", "mdhd"], *trak)
        self.timescale = struct.unpack_from(">I", data, body + (20 if data[body] == 1 else 12))[0]
        body, _ = find(data, ["mdia", "hdlr"], *trak)
        self.video = data[body + 8:body + 12] == b"vide"
        self.shift = self.edit(data, trak)
        self.width = self.height = self.channels = self.sample_rate = 0
        self.entry(data, trak)

    @staticmethod
    def edit(data, trak):
        try:
            body, _ = find(data, ["edts", "elst"], *trak)
        except Damaged:
            return 0
        if struct.unpack_from(">I", data, body + 4)[0] != 1:
            raise Damaged("more than one edit")
        if data[body] == 1:
            return struct.unpack_from(">q", data, body + 16)[0]
        return struct.unpack_from(">i", data, body + 12)[0]

    def entry(self, data, trak):
        body, end = find(data, ["mdia", "minf", "stbl", "stsd"], *trak)
        kind, _, entry, stop = next(boxes(data, body + 8, end))
        if kind in ("avc1", "avc3"):
            self.width, self.height = struct.unpack_from(">HH", data, entry + 24)
            at, _ = find(data, ["avcC"], entry + 78, stop)
            self.codecs = f"{kind}.{data[at + 1:at + 4].hex()}"
            self.idr = lambda first: first & 0x1f == 5
        elif kind in ("hvc1", "hev1"):
            self.width, self.height = struct.unpack_from(">HH", data, entry + 24)
            at, _ = find(data, ["hvcC"], entry + 78, stop)
            self.codecs = kind + hevc_name(data[at:at + 13])
            self.idr = lambda first: first >> 1 & 0x3f in (19, 20)
        elif kind == "mp4a":
            self.channels = struct.unpack_from(">H", data, entry + 16)[0]
            self.sample_rate = struct.unpack_from(">I", data, entry + 24)[0] >> 16
            at, esds = find(data, ["esds"], entry + 28, stop)
            self.codecs = f"mp4a.40.{audio_object_type(data[at + 4:esds])}"
        else:
            raise Damaged(f"a sample entry {kind!r}")


def hevc_name(record):
    space = ["", "A", "B", "C"][record[1] >> 6]
    compatibility = int(f"{struct.unpack_from('>I', record, 2)[0]:032b}"[::-1], 2)
    constraints = list(record[6:12])
    while constraints and constraints[-1] == 0:
        constraints.pop()
    parts = [f"{space}{record[1] & 0x1f}", f"{compatibility:X}", f"{'H' if record[1] & 0x20 else 'L'}{record[12]}"]
    return "." + ".".join(parts + [f"{c:X}" for c in constraints])


def audio_object_type(esds):
    at = 0
    while at < len(esds):
        tag, length = esds[at], 0
        at += 1
        while True:
            byte = esds[at]
            at += 1
            length = length << 7 | byte & 0x7f
            if not byte & 0x80:
                break
        if tag == 5:
            kind = esds[at] >> 3
            return kind if kind != 31 else 32 + ((esds[at] & 7) << 3 | esds[at + 1] >> 5)
        at += {3: 3, 4: 13}.get(tag, length)
    raise Damaged("no AudioSpecificConfig")


class Fragment:
    """A moof and its mdat: decode time and samples as (duration, size, sync, composition, offset)."""

    def __init__(self, data, moof, body, stop):
        self.offset, self.end = moof, stop
        at, _ = find(data, ["mfhd"], body, stop)
        self.sequence = struct.unpack_from(">I", data, at + 4)[0]
        traf = find(data, ["traf"], body, stop)
        at, _ = find(data, ["tfhd"], *traf)
        flags = struct.unpack_from(">I", data, at)[0] & 0xffffff
        at += 8
        values = {}
        for bit, width in ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4)):
            if flags & bit:
                values[bit] = int.from_bytes(data[at:at + width], "big")
                at += width
        at, _ = find(data, ["tfdt"], *traf)
        self.decode_time = struct.unpack_from(">Q" if data[at] == 1 else ">I", data, at + 4)[0]
        self.samples = []
        for kind, _, run, _ in boxes(data, *traf):
            if kind == "trun":
                self.run(data, run, values)

    def run(self, data, at, defaults):
        flags = struct.unpack_from(">I", data, at)[0] & 0xffffff
        count = struct.unpack_from(">I", data, at + 4)[0]
        at += 8
        position = self.offset
        if flags & 0x1:
            position += struct.unpack_from(">i", data, at)[0]
            at += 4
        first = defaults.get(0x20, 0)
        if flags & 0x4:
            first = struct.unpack_from(">I", data, at)[0]
            at += 4
        for i in range(count):
            value = {0x100: defaults.get(0x8, 0), 0x200: defaults.get(0x10, 0),
                     0x400: first if i == 0 else defaults.get(0x20, 0), 0x800: 0}
            for bit in value:
                if flags & bit:
                    value[bit] = struct.unpack_from(">i" if bit == 0x800 else ">I", data, at)[0]
                    at += 4
            self.samples.append((value[0x100], value[0x200], not value[0x400] & 0x10000, value[0x800], position))
            position += value[0x200]


def fragments(data):
    """Of a media segment, or of a byte range of one. Every sample must lie inside."""
    found = []
    for kind, offset, body, stop in boxes(data):
        if kind == "moof":
            found.append(Fragment(data, offset, body, stop))
        elif found:
            found[-1].end = stop
    for fragment in found:
        for _, size, _, _, position in fragment.samples:
            if position + size > len(data):
                raise Damaged("a sample lies outside")
    return found


def is_idr(init, data, sample):
    """Whether one of its NAL units is a slice of an IDR."""
    _, size, _, _, at = sample
    end = at + size
    while at + 5 <= end:
        length = struct.unpack_from(">I", data, at)[0]
        if init.idr(data[at + 4]):
            return True
        at += 4 + length
    return False
