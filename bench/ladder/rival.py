"""The single ffmpeg command that makes the same ladder, in all its variants of scaling graph and threads."""
import dataclasses
import itertools
import pathlib

RUNGS = [(720, 5000000), (480, 2500000), (360, 1200000)]  # short side, cap: those of ladders/web.yaml
GOP_SECONDS, SEGMENT_SECONDS, FPS = 2, 4, 25


@dataclasses.dataclass(frozen=True)
class Recipe:
    graph: str             # "split": each rung scaled from the source; "cascade": from the rung above
    filter_threads: int
    encoder_threads: int   # of each encoder

    def __str__(self):
        return f"{self.graph}, filter threads {self.filter_threads}, encoder threads {self.encoder_threads}"


ALL = [Recipe(*values) for values in itertools.product(("split", "cascade"), (1, 2, 3), (1, 2, 3))]


def width(height):
    return (height * 16 // 9 + 1) // 2 * 2


def scaling(recipe, source_height):
    heights = [height for height, _ in RUNGS]
    scale = lambda height: "null" if height == source_height else f"scale={width(height)}:{height}"
    if recipe.graph == "split":
        names = "".join(f"[s{i}]" for i in range(len(heights)))
        return [f"[0:v]split={len(heights)}{names}"] + [f"[s{i}]{scale(height)}[v{i}]" for i, height in enumerate(heights)]
    chains, above = [], "[0:v]"
    for i, height in enumerate(heights):
        last = i == len(heights) - 1
        chains.append(f"{above}{scale(height)}" + (f"[v{i}]" if last else f",split=2[v{i}][n{i}]"))
        above = f"[n{i}]"
    return chains


def command(recipe, film, source_height, preset, folder, crf=23, seconds=None):
    folder = pathlib.Path(folder)
    out = ["ffmpeg", "-y", "-v", "error", "-nostdin", "-filter_complex_threads", str(recipe.filter_threads), "-i", str(film)]
    out += ["-filter_complex", ";".join(scaling(recipe, source_height))]
    gop = GOP_SECONDS * FPS
    for i, (_, cap) in enumerate(RUNGS):
        out += ["-map", f"[v{i}]", f"-maxrate:v:{i}", str(cap), f"-bufsize:v:{i}", str(2 * cap)]
    out += ["-map", "0:a", "-c:v", "libx264", "-preset", preset, "-crf", str(crf), "-g", str(gop), "-keyint_min", str(gop)]
    out += ["-sc_threshold", "0", "-threads:v", str(recipe.encoder_threads), "-c:a", "aac", "-b:a", "128k"]
    if seconds:
        out += ["-t", str(seconds)]
    variants = " ".join(f"v:{i},agroup:audio" for i in range(len(RUNGS))) + " a:0,agroup:audio"
    out += ["-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", str(SEGMENT_SECONDS), "-hls_playlist_type", "vod"]
    out += ["-hls_flags", "independent_segments", "-master_pl_name", "master.m3u8", "-var_stream_map", variants]
    return out + ["-hls_segment_filename", str(folder / "%v/seg-%05d.m4s"), str(folder / "%v/playlist.m3u8")]
