"""ISO BMFF files taken apart into nested lists, changed and put together again.

Only for files whose moov stands behind their mdat: then chunk offsets stay true whatever the moov's size.
"""
import struct

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex", b"moof", b"traf", b"udta"}


class Box:
    def __init__(self, kind, payload=b"", children=None):
        self.kind, self.payload, self.children = kind, payload, children

    def all(self, *path):
        """Boxes at a path of kinds below this one."""
        found = [c for c in self.children or [] if c.kind == path[0]]
        return found if len(path) == 1 else [deep for c in found for deep in c.all(*path[1:])]

    def one(self, *path):
        return self.all(*path)[0]

    def bytes(self):
        body = self.payload + b"".join(c.bytes() for c in self.children or [])
        return struct.pack(">I4s", len(body) + 8, self.kind) + body


def parse(data, start=0, end=None):
    boxes, at = [], start
    end = len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind in CONTAINERS:
            boxes.append(Box(kind, b"", parse(data, at + 8, at + size)))
        else:
            boxes.append(Box(kind, data[at + 8 : at + size]))
        at += size
    return boxes


class File:
    """A parsed file; `moov` may be changed before it is saved."""

    def __init__(self, path):
        self.boxes = parse(path.read_bytes())
        self.moov = next(b for b in self.boxes if b.kind == b"moov")
        kinds = [b.kind for b in self.boxes]
        assert kinds.index(b"moov") > kinds.index(b"mdat"), "the moov must stand last"

    def track(self, handler):
        return next(t for t in self.moov.all(b"trak") if t.one(b"mdia", b"hdlr").payload[8:12] == handler)

    def save(self, path):
        path.write_bytes(b"".join(b.bytes() for b in self.boxes))


def sample_entry(track):
    """(kind, fixed fields, child boxes) of a video track's first sample description."""
    stsd = track.one(b"mdia", b"minf", b"stbl", b"stsd").payload
    size, kind = struct.unpack(">I4s", stsd[8:16])
    return kind, stsd[16 : 16 + 78], parse(stsd, 16 + 78, 8 + size)


def set_sample_entry(track, kind, fixed, children):
    body = fixed + b"".join(c.bytes() for c in children)
    entry = struct.pack(">I4s", len(body) + 8, kind) + body
    track.one(b"mdia", b"minf", b"stbl", b"stsd").payload = struct.pack(">II", 0, 1) + entry


def set_rotation(path, out, degrees):
    """A display matrix that turns the picture clockwise by 90, 180 or 270 degrees (ISO/IEC 14496-12, 8.3.2)."""
    file = File(path)
    tkhd = file.track(b"vide").one(b"tkhd")
    at = 40 if tkhd.payload[0] == 0 else 52  # behind the flags, times, ids, layer and volume
    one, minus = 1 << 16, -(1 << 16)
    a, b, c, d = {90: (0, one, minus, 0), 180: (minus, 0, 0, minus), 270: (0, minus, one, 0)}[degrees]
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    tkhd.payload = tkhd.payload[:at] + matrix + tkhd.payload[at + 36 :]
    file.save(out)


def add_dolby_vision(path, out, profile, compatibility):
    """A dvcC box in the HEVC sample entry (Dolby Vision streams within ISO BMFF, 3.2)."""
    file = File(path)
    track = file.track(b"vide")
    kind, fixed, children = sample_entry(track)
    level = 1
    record = bytes([1, 0, (profile << 1) | (level >> 5), ((level & 31) << 3) | 0b101, compatibility << 4]) + bytes(19)
    set_sample_entry(track, kind, fixed, children + [Box(b"dvcC", record)])
    file.save(out)


class Bits:
    def __init__(self):
        self.text = ""

    def u(self, width, value):
        self.text += format(value, f"0{width}b")
        return self

    def ue(self, value):
        code = format(value + 1, "b")
        self.text += "0" * (len(code) - 1) + code
        return self

    def rbsp(self):
        bits = self.text + "1"
        bits += "0" * (-len(bits) % 8)
        return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def sps(macroblocks_wide, macroblocks_high):
    """A Baseline SPS of that size (H.264 7.3.2.1.1)."""
    bits = Bits().u(8, 66).u(8, 0).u(8, 51).ue(0)  # profile, constraints, level, id
    bits.ue(0).ue(2).ue(1).u(1, 0)  # log2_max_frame_num-4, poc type 2, references, gaps
    bits.ue(macroblocks_wide - 1).ue(macroblocks_high - 1).u(1, 1)  # frames only
    bits.u(1, 1).u(1, 0).u(1, 0)  # direct_8x8, no cropping, no VUI
    raw, out, zeros = bits.rbsp(), bytearray(), 0
    for byte in raw:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\x67" + bytes(out)


def claim_size(path, out, width, height):
    """The file says everywhere (tkhd, sample entry, SPS) that it is so large."""
    file = File(path)
    track = file.track(b"vide")
    tkhd = track.one(b"tkhd")
    tkhd.payload = tkhd.payload[:-8] + struct.pack(">II", width << 16, height << 16)
    kind, fixed, children = sample_entry(track)
    fixed = fixed[:24] + struct.pack(">HH", width, height) + fixed[28:]
    set_ = sps(width // 16, height // 16)
    for child in children:
        if child.kind == b"avcC":
            old = struct.unpack(">H", child.payload[6:8])[0]
            child.payload = child.payload[:6] + struct.pack(">H", len(set_)) + set_ + child.payload[8 + old :]
    set_sample_entry(track, kind, fixed, children)
    file.save(out)


def empty_track(path, out, handler):
    """A track that is declared, and has no samples."""
    file = File(path)
    track = file.track(handler)
    table = track.one(b"mdia", b"minf", b"stbl")
    for box in table.children:
        if box.kind == b"stsz":
            box.payload = bytes(12)
        elif box.kind != b"stsd":
            box.payload = bytes(8)
    table.children = [b for b in table.children if b.kind in (b"stsd", b"stts", b"stsc", b"stsz", b"stco")]
    mdhd = track.one(b"mdia", b"mdhd")
    mdhd.payload = mdhd.payload[:16] + bytes(4) + mdhd.payload[20:]
    tkhd = track.one(b"tkhd")
    tkhd.payload = tkhd.payload[:20] + bytes(4) + tkhd.payload[24:]
    track.children = [b for b in track.children if b.kind != b"edts"]
    file.save(out)
