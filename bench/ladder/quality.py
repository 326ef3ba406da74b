"""Quality against bitrate: PSNR and SSIM of each frame through ffmpeg, and the Bjontegaard difference."""
import math
import pathlib
import re
import shutil
import subprocess

from playlists import media_playlists, segments


def joined(playlist, out):
    """The rendition as one file: init segment and segments, one after another. Returns its media bytes."""
    init, parts = segments(playlist)
    with open(out, "wb") as whole:
        for part in [init, *parts]:
            with open(part, "rb") as source:
                shutil.copyfileobj(source, whole)
    return sum(part.stat().st_size for part in parts)


def frame_quality(film, rendition, size, work):
    """[(psnr_y, ssim_y)] of each frame of `rendition` against `film` scaled to `size` by lanczos."""
    psnr, ssim = work / "psnr.log", work / "ssim.log"
    graph = (
        f"[0:v]settb=1/90000,setpts=N,split[a][b];[1:v]scale={size[0]}:{size[1]}:flags=lanczos+accurate_rnd,settb=1/90000,"
        f"setpts=N,split[c][d];[a][c]psnr=stats_file={psnr.name}[x];[b][d]ssim=stats_file={ssim.name}[y]"
    )
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", rendition, "-i", film, "-filter_complex", graph, "-map", "[x]",
                    "-f", "null", "-", "-map", "[y]", "-f", "null", "-"], check=True, cwd=work)
    read = lambda path, key: [float(found) for found in re.findall(key + r":(inf|[\d.]+)", path.read_text())]
    return list(zip([min(value, 100.0) for value in read(psnr, "psnr_y")], read(ssim, "Y")))


def means(frames):
    """Mean PSNR (over the squared error, as it is defined for a film) and SSIM in dB."""
    error = sum(10 ** (-psnr / 10) for psnr, _ in frames) / len(frames)
    ssim = sum(value for _, value in frames) / len(frames)
    return -10 * math.log10(error), -10 * math.log10(max(1e-9, 1 - ssim))


def cubic(xs, ys):
    """Coefficients (ascending) of the cubic through four points."""
    rows = [[x ** power for power in range(4)] + [y] for x, y in zip(xs, ys)]
    for i in range(4):
        pivot = max(range(i, 4), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(4):
            if r != i:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i])]
    return [row[4] for row in rows]


def bd_rate(anchor, test):
    """Bjontegaard delta rate in percent; each a list of four (bits per second, quality). Positive: `test` needs more.
    (VCEG-M33: cubic fits of log rate over quality, integrated over the qualities that both reach.)"""
    low = max(min(q for _, q in points) for points in (anchor, test))
    high = min(max(q for _, q in points) for points in (anchor, test))
    if high <= low:
        raise ValueError("the two curves share no quality")

    def mean_log_rate(points):
        # Around the interval's middle, for the numbers' sake.
        middle = (low + high) / 2
        c = cubic([q - middle for _, q in points], [math.log10(rate) for rate, _ in points])
        whole = lambda x: sum(a * x ** (power + 1) / (power + 1) for power, a in enumerate(c))
        return (whole(high - middle) - whole(low - middle)) / (high - low)

    return (10 ** (mean_log_rate(test) - mean_log_rate(anchor)) - 1) * 100


def worst_second_near(joins, fps, ours, theirs):
    """(how far ours falls below theirs in PSNR dB, where): the worst of the seconds around the joins."""
    worst = (-math.inf, 0.0)
    for join in joins:
        first = max(0, round((join - 0.5) * fps))
        window = slice(first, first + round(fps))
        if len(ours[window]) < fps / 2 or len(theirs[window]) < fps / 2:
            continue
        worst = max(worst, (means(theirs[window])[0] - means(ours[window])[0], join))
    return worst


def rendition_frames(folder, film, size, work, index):
    """(bits per second, frames) of the variant number `index`, lowest first."""
    variants, _ = media_playlists(folder)
    work.mkdir(parents=True, exist_ok=True)
    file = work / "rendition.mp4"
    size_bytes = joined(pathlib.Path(folder, variants[index]), file)
    frames = frame_quality(film, file, size, work)
    file.unlink()
    return size_bytes * 8, frames
