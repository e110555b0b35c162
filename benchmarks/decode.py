"""Times decoding: 8 of 90 frames against OpenCV and bare libav, and the pool with two workers against one.

All alternatives run in turn, for many rounds, on the same clips: three seconds, 854x480, 30 frames per
second, H.264. They are cut from a real video where one is given or found, else made of moving noise.

    python benchmarks/decode.py [VIDEO] [--rounds 25] [--clips 8]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from microg_bench.video.decode import decode
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FrameSpec

SIZE = (854, 480)
FRAMES = 90
SPEC = FrameSpec(count=8)
FOOTAGE = Path(__file__).resolve().parents[1].parent / "shared" / "media" / "vtest.avi"


def pictures(footage: Path | None) -> Iterator[av.VideoFrame]:
    """Endless frames of 854x480: the footage repeated, or moving noise."""
    while footage is not None:
        with av.open(str(footage)) as container:
            for frame in container.decode(video=0):
                yield frame.reformat(*SIZE, format="yuv420p")
    width, height = SIZE
    noise = np.random.default_rng(0).integers(0, 256, (height // 8 + 64, width // 8 + 64, 3), np.uint8)
    texture = cv2.GaussianBlur(cv2.resize(noise, None, fx=8, fy=8), (9, 9), 0)
    for number in range(10**9):
        top, left = (3 * number) % 512, (5 * number) % 512
        image = np.array(texture[top : top + height, left : left + width], np.uint8)
        yield av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")


def write_clips(folder: Path, count: int, footage: Path | None) -> list[Path]:
    """Encode `count` clips, one slice per frame and with B-frames, as x264 does by default."""
    source = pictures(footage)
    paths = [folder / f"{number}.mp4" for number in range(count)]
    for path in paths:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height = SIZE
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_type = "FRAME"
            for number in range(FRAMES):
                frame = next(source)
                frame.pts, frame.time_base = number, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return paths


def ours(path: Path) -> None:
    """`decode`, 8 frames."""
    assert decode(path, SPEC).total == FRAMES


def opencv(path: Path) -> None:
    """Every frame read and converted, 8 of them kept as RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        frames.append(frame)
    assert len(frames) == FRAMES
    np.stack([cv2.cvtColor(frames[(2 * i + 1) * FRAMES // 16], cv2.COLOR_BGR2RGB) for i in range(8)])


def bare(path: Path) -> None:
    """The limit: libav decodes with automatic threads, nothing is converted."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def through(pool: DecodePool, paths: list[Path]) -> None:
    """All clips through the pool."""
    for future in [pool.submit(path, SPEC) for path in paths]:
        future.result()


def report(title: str, times: dict[str, list[float]], clips: int) -> None:
    """Print each one's median and least milliseconds per clip, and its time relative to the first.

    The ratio is the median of the ratios within a round, so a machine that slows down does not change it.
    """
    print(f"\n{title:<38}{'median ms':>10}{'least ms':>10}{'relative':>10}")
    first = next(iter(times.values()))
    for name, taken in times.items():
        ratio = statistics.median(mine / base for mine, base in zip(taken, first, strict=True))
        each = [one * 1e3 / clips for one in taken]
        print(f"{name:<38}{statistics.median(each):>10.1f}{min(each):>10.1f}{ratio:>10.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", nargs="?", type=Path, default=FOOTAGE if FOOTAGE.exists() else None)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--clips", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_clips(Path(folder), options.clips, options.video)
        print(f"{len(paths)} clips of {options.video or 'moving noise'}, {options.rounds} rounds")

        alone: dict[str, list[float]] = {"decode": [], "OpenCV, every frame": [], "bare libav": []}
        for turn in range(options.rounds):
            path = paths[turn % len(paths)]
            for name, run in zip(alone, (ours, opencv, bare), strict=True):
                alone[name].append(seconds(lambda run=run, path=path: run(path)))  # type: ignore[misc]
        report("one clip, all threads", alone, 1)

        pooled: dict[str, list[float]] = {"pool, 2 workers": [], "pool, 1 worker": []}
        with DecodePool(workers=2) as two, DecodePool(workers=1) as one:
            for pool in (two, one):
                through(pool, paths)
            for _ in range(options.rounds):
                for name, pool in zip(pooled, (two, one), strict=True):
                    pooled[name].append(seconds(lambda pool=pool: through(pool, paths)))  # type: ignore[misc]
        report(f"{len(paths)} clips, one thread per worker (per clip)", pooled, len(paths))


if __name__ == "__main__":
    main()
