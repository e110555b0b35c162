"""The page on which people rate answers, blind to the model; it works from a file and exports a CSV."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from microg_bench.annotation.ratings import COLUMNS, LEVELS, LONGEST, RatedAnswer
from microg_bench.dataset.load import Dataset
from microg_bench.pages.folder import new_folder
from microg_bench.pages.frames import draw_clips
from microg_bench.pages.shell import render
from microg_bench.progress import Progress
from microg_bench.video.sampling import FrameSpec

COMPONENTS = ("filters", "frames", "list", "viewer", "reviewing")
FRAMES = 8  # of a clip


def write_rating_page(
    answers: Sequence[RatedAnswer], dataset: Dataset, out: Path, *, progress: Progress
) -> Path:
    """Write the page into the folder `out`: item, frames, question and answer, and nothing of the model.

    Args:
        answers: in the order in which they are shown.
        dataset: that they are about.
        out: a folder that is new, empty, or holds a page that was written here.
        progress: told of the drawing.

    Returns:
        The file of the page.

    Raises:
        UsageError: `out` holds files from elsewhere.
        RunError: it cannot be written.
    """
    wanted = {one.video_id for one in answers}
    data: dict[str, Any] = {"columns": COLUMNS, "levels": LEVELS, "longest": LONGEST}
    with new_folder(out) as pages:
        progress.stage("drawing", len(wanted))
        strips = draw_clips(dataset, wanted, FrameSpec.parse(FRAMES), pages.write, progress.advance)
        data["strips"] = {clip: asdict(strip) for clip, strip in strips.items()}
        data["answers"] = list(_items(answers))
        page = render("rating", COMPONENTS, data, title="Rate answers", answers=len(answers))
        pages.write("index.html", page)
    return out / "index.html"


def _items(answers: Sequence[RatedAnswer]) -> Iterator[dict[str, Any]]:
    """The answers as the page's scripts read them; a further one to the same item has a number behind it."""
    seen: Counter[str] = Counter()
    for one in answers:
        seen[one.id] += 1
        yield {
            "id": one.id if seen[one.id] == 1 else f"{one.id} ({seen[one.id]})",
            "fingerprint": one.key,
            "item": one.id,
            "clip": one.video_id,
            "question": one.question or "",
            "answer": one.answer,
        }
