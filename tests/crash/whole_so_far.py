"""whole_so_far FOLDER: every segment that a playlist of the folder names is there and begins and ends as a segment does."""
import pathlib
import struct
import sys


def boxes(data):
    """Types of the boxes; raises when the last one is cut short."""
    at, types = 0, []
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            raise ValueError(f"box {kind} is cut short")
        types.append(kind)
        at += size
    return types


folder = pathlib.Path(sys.argv[1])
for playlist in folder.rglob("*.m3u8"):
    for line in playlist.read_text().splitlines():
        if line and not line.startswith("#") and line.endswith((".m4s", ".mp4")):
            if b"mdat" not in boxes((playlist.parent / line).read_bytes()):
                sys.exit(f"{playlist.parent / line}: is no segment")
        elif line.startswith("#EXT-X-ENDLIST") and not (folder / "manifest.mpd").exists():
            sys.exit(f"{playlist}: says that it is finished")
print("whole so far")
