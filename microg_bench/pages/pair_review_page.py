"""The page on which people review questions and answers; it works from a file and exports a CSV."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from microg_bench.annotation.questions import Candidate
from microg_bench.annotation.reviews import COLUMNS, LONGEST, REASONS, pair_fingerprint, pairs
from microg_bench.dataset.load import Dataset
from microg_bench.errors import DataError
from microg_bench.pages.folder import new_folder
from microg_bench.pages.frames import draw_clips
from microg_bench.pages.shell import render
from microg_bench.progress import Progress
from microg_bench.records import Clip, Question
from microg_bench.video.sampling import FrameSpec

COMPONENTS = ("filters", "frames", "list", "viewer", "reviewing")
FRAMES = 8  # of a clip
Made = Mapping[tuple[str, str, str], Candidate]


def write_pair_review_page(
    dataset: Dataset,
    candidates: Made,
    out: Path,
    *,
    only: Collection[str] | None = None,
    videos: Dataset | None = None,
    progress: Progress,
) -> Path:
    """Write the page into the folder `out`: each pair with frames, caption, and what a model said of it.

    Args:
        dataset: the pairs, with their captions.
        candidates: what is known of pairs that a model made, by clip, question and answer.
        out: a folder that is new, empty, or holds a page that was written here.
        only: the pairs to show, `video_id#k`; None shows all.
        videos: has the videos of the clips; None shows those of `dataset`, where it has any.
        progress: told of the drawing.

    Returns:
        The file of the page.

    Raises:
        DataError: there is no such pair, or none to review.
        UsageError: `out` holds files from elsewhere.
        RunError: it cannot be written.
    """
    shown = [_item(item, clip, pair, candidates) for item, clip, pair in pairs(dataset)]
    if only is not None:
        if unknown := sorted(set(only) - {one["id"] for one in shown}):
            raise DataError(f"has no pair {unknown[0]}", item=dataset.name)
        shown = [one for one in shown if one["id"] in only]
    if not shown:
        raise DataError("no pair to review", item=dataset.name)
    wanted = {one["clip"] for one in shown}
    captions = {clip.video_id: clip.caption or "" for clip in dataset.clips if clip.video_id in wanted}
    data = {"columns": COLUMNS, "reasons": REASONS, "longest": LONGEST, "captions": captions, "pairs": shown}
    with new_folder(out) as pages:
        progress.stage("drawing", len(wanted))
        strips = draw_clips(videos or dataset, wanted, FrameSpec.parse(FRAMES), pages.write, progress.advance)
        data["strips"] = {clip: asdict(strip) for clip, strip in strips.items()}
        page = render("pairs", COMPONENTS, data, title="Review", pairs=len(shown), clips=len(captions))
        pages.write("index.html", page)
    return out / "index.html"


def _item(item: str, clip: Clip, pair: Question, candidates: Made) -> dict[str, Any]:
    made = candidates.get((clip.video_id, pair.text, pair.answer))
    return {
        "id": item,
        "clip": clip.video_id,
        "fingerprint": pair_fingerprint(clip, pair),
        "question": pair.text,
        "answer": pair.answer,
        "span": made.span if made else None,
        "notes": _notes(made) if made else [],
    }


def _notes(made: Candidate) -> list[str]:
    """What a model said of a pair, a line each."""
    ratings = made.ratings
    return [
        f"{made.scope}, {made.form}",
        *([f"rated {ratings.total} of 20: {ratings.reason}"] if ratings else []),
        *([f"second answer: {made.second_answer}"] if made.second_answer else []),
    ]
