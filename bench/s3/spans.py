"""Where in a film's file the frames of a stretch of time lie, with the GOP that leads to them. By ffprobe alone."""
import csv
import dataclasses
import subprocess


@dataclasses.dataclass
class Packet:
    seconds: float  # of its presentation, from the film's first frame
    begin: int      # in the file
    end: int
    key: bool


def packets_of(film):
    """The video's packets, in file order."""
    probe = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,size,pos,flags",
                            "-of", "csv=p=0", film], check=True, text=True, stdout=subprocess.PIPE)
    rows = [(float(row[0]), int(row[1]), int(row[2]), row[3]) for row in csv.reader(probe.stdout.splitlines())]
    first = min(row[0] for row in rows)
    return [Packet(pts - first, pos, pos + size, flags.startswith("K")) for pts, size, pos, flags in rows]


def span(packets, begin, end):
    """Bytes of the file between the keyframe from which decoding must begin for the frames of [begin, end), in seconds, and
    the last of these; whatever is interleaved is in it."""
    half = 0.5e-3  # no frame is so short
    start = max(i for i, packet in enumerate(packets) if packet.key and packet.seconds <= begin + half)
    wanted = [packet for packet in packets[start:] if packet.seconds < end - half]
    return max(packet.end for packet in wanted) - packets[start].begin
