"""Cuts the videos of the built-in sample set out of freely licensed pictures and footage.

The sample set stands in the layout of the published dataset, so that every command can be tried without a
download. Each source below is six seconds long and gives two clips: clip NNN starts at second 3·NNN of its
source. The same media and the same libx264 give the same bytes.

    python scripts/make_sample.py --media MEDIA --out microg_bench/dataset/sample

MEDIA holds vtest.avi (OpenCV samples), astronaut.png and rocket.jpg (scikit-image). The captions and
questions in OUT/vqa_and_captioning.json were written by hand and are left alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

WIDTH, HEIGHT, FPS, FRAMES = 640, 480, 30, 90
CLIPS = 2
FOOTAGE_FPS = 10
X264 = {"crf": "23", "preset": "slow", "threads": "1", "g": "60", "bf": "3"}


@dataclass(frozen=True)
class Footage:
    """Filmed footage from second `start` on, seen through a box (left, top, width, height in pixels)."""

    file: str
    start: int
    box: tuple[int, int, int, int]

    def frames(self, media: Path, clip: int) -> Iterator[Frame]:
        """Yield the 90 BGR frames of a clip; each filmed frame is shown three times (10 to 30 fps)."""
        left, top, width, height = self.box
        first = FOOTAGE_FPS * (self.start + 3 * clip)
        with av.open(str(media / self.file)) as container:
            filmed = islice(container.decode(video=0), first, first + 3 * FOOTAGE_FPS)
            for frame in filmed:
                view = frame.to_ndarray(format="bgr24")[top : top + height, left : left + width]
                method = cv2.INTER_AREA if width > WIDTH else cv2.INTER_CUBIC
                scaled = cv2.resize(view, (WIDTH, HEIGHT), interpolation=method)
                yield from [scaled] * (FPS // FOOTAGE_FPS)


@dataclass(frozen=True)
class Drift:
    """A camera over a still picture, through three poses: at second 0, 3 and 6 of the source.

    A pose is (x, y, width, angle): the picture point in the middle of the view, how many pixels of the
    picture the view is wide, and by how many degrees the picture is turned counter-clockwise on the screen.
    """

    file: str
    poses: tuple[tuple[float, float, float, float], ...]

    def frames(self, media: Path, clip: int) -> Iterator[Frame]:
        """Yield the 90 BGR frames of a clip, the camera moving evenly from one pose to the next."""
        picture = cv2.imread(str(media / self.file))
        if picture is None:
            raise SystemExit(f"{media / self.file}: no readable picture")
        start, end = list(pairwise(np.array(self.poses)))[clip]
        for step in range(FRAMES):
            yield _view(picture, *(start + (end - start) * step / FRAMES))


def _view(picture: MatLike, x: float, y: float, width: float, angle: float) -> Frame:
    matrix = cv2.getRotationMatrix2D((x, y), angle, WIDTH / width)
    matrix[0, 2] += WIDTH / 2 - x
    matrix[1, 2] += HEIGHT / 2 - y
    view = cv2.warpAffine(
        picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(view, dtype=np.uint8)


WHOLE = (0, 0, 768, 576)
SOURCES: dict[str, Footage | Drift] = {
    "pedestrians-a": Footage("vtest.avi", 0, WHOLE),
    "pedestrians-b": Footage("vtest.avi", 52, WHOLE),
    "pedestrians-c": Footage("vtest.avi", 18, (288, 96, 480, 360)),
    "astronaut-drift": Drift(
        "astronaut.png", ((226, 118, 300, 8), (190, 350, 330, -12), (330, 350, 340, 10))
    ),
    "astronaut-roll": Drift(
        "astronaut.png", ((256, 256, 400, 0), (256, 256, 400, 120), (256, 256, 400, 270))
    ),
    "rocket-drift": Drift("rocket.jpg", ((320, 160, 230, -6), (320, 310, 280, 6), (320, 213, 540, 0))),
    "rocket-roll": Drift("rocket.jpg", ((320, 213, 341, 0), (320, 213, 341, -90), (320, 213, 341, -180))),
}


def write_clip(media: Path, source: str, clip: int, path: Path) -> None:
    """Encode one clip: 90 frames of 640x480 at 30 fps, H.264 (yuv420p, B-frames), no sound."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=X264)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.thread_count = 1
        for frame in SOURCES[source].frames(media, clip):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode())


def main() -> None:
    """Write every clip under OUT/videos/real."""
    parser = argparse.ArgumentParser(description="Make the videos of the built-in sample set.")
    parser.add_argument("--media", type=Path, required=True, help="folder of the three media files")
    parser.add_argument("--out", type=Path, required=True, help="the sample set's folder")
    args = parser.parse_args()
    for source in SOURCES:
        folder = args.out / "videos" / "real" / source
        folder.mkdir(parents=True, exist_ok=True)
        for clip in range(CLIPS):
            path = folder / f"{source}_{clip:03d}.mp4"
            write_clip(args.media, source, clip, path)
            print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
