"""The page on which people rate answers, blind to the model; it works from a file and exports a CSV."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from microg_bench.annotation.ratings import COLUMNS, LEVELS, LONGEST, RatedAnswer
from microg_bench.errors import DecodeError
from microg_bench.pages.folder import new_folder
from microg_bench.pages.frames import jpegs
from microg_bench.pages.shell import render
from microg_bench.progress import Progress
from microg_bench.records import Clip
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FrameSpec

COMPONENTS = ("filters", "list", "viewer", "scene", "notebook")
FRAMES = 8  # of a clip
LONGEST_SIDE = 480  # pixels, of a picture
_NO_VIDEO = "the dataset at hand holds no video of this clip"
Write = Callable[[str, bytes], None]


def write_rating_page(answers: Sequence[RatedAnswer], out: Path, *, progress: Progress) -> Path:
    """Write the page into the folder `out`: item, frames, question and answer, and nothing of the model.

    Args:
        answers: in the order in which they are shown.
        out: a folder that is new, empty, or holds a page that was written here.
        progress: told of the drawing.

    Returns:
        The file of the page.

    Raises:
        UsageError: `out` holds files from elsewhere.
        RunError: it cannot be written.
    """
    clips = {clip: place for place, clip in enumerate(dict.fromkeys(one.clip for one in answers))}
    with new_folder(out) as pages:
        progress.stage("drawing", len(clips))
        drawn = _draw(clips, pages.write, progress.advance)
        data = {
            "columns": COLUMNS,
            "levels": LEVELS,
            "longest": LONGEST,
            "clips": drawn,
            "answers": [_shown(one, clips[one.clip]) for one in answers],
        }
        page = render("rating", COMPONENTS, data, title="Rate answers", answers=len(answers))
        pages.write("index.html", page)
    return out / "index.html"


def _shown(one: RatedAnswer, clip: int) -> dict[str, Any]:
    """An answer as the page's scripts read it."""
    told = {"item": one.id, "question": one.question or "", "answer": one.answer, "clip": clip}
    return {"id": one.key, "fingerprint": one.key, **told}


def _draw(clips: Iterable[Clip], write: Write, step: Callable[[], None]) -> list[dict[str, Any]]:
    """Write some frames of each clip; their places and size, or why there is none."""
    found: list[dict[str, Any]] = []
    waiting: deque[Future[Frames] | None] = deque()

    def take() -> None:
        found.append(_pictures(waiting.popleft(), len(found), write))
        step()

    with DecodePool() as pool:
        for clip in clips:
            if len(waiting) == pool.ahead:
                take()
            waiting.append(pool.submit(clip.video, FrameSpec.parse(FRAMES)) if clip.video else None)
        while waiting:
            take()
    return found


def _pictures(future: Future[Frames] | None, number: int, write: Write) -> dict[str, Any]:
    if future is None:
        return {"frames": [], "size": [1, 1], "why": _NO_VIDEO}
    try:
        frames = future.result()
    except DecodeError as error:
        return {"frames": [], "size": [1, 1], "why": str(error)}
    height, width = frames.pixels.shape[1:3]
    shown = []
    for place, picture in enumerate(jpegs(frames.pixels, LONGEST_SIDE)):
        name = f"frames/{number:05d}/{place}.jpg"
        write(name, picture)
        shown.append({"picture": name, "seconds": round(frames.timestamps[place], 2)})
    return {"frames": shown, "size": [width, height], "why": ""}
