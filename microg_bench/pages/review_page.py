"""The page on which people review the clips of a curation; it works from a file and exports a CSV."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from microg_bench.curation.folder import Box, CurationFolder
from microg_bench.curation.key_frames import choose_key_frames
from microg_bench.curation.reviews import COLUMNS, LONGEST, MOST_ACTIONS, REASONS, SOURCES, fingerprint
from microg_bench.curation.tables import read_rows
from microg_bench.curation.taxonomy import ActionMeaning
from microg_bench.errors import DataError, DecodeError
from microg_bench.pages.folder import new_folder
from microg_bench.pages.frames import jpegs
from microg_bench.pages.shell import render
from microg_bench.progress import Progress
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FramePositions, FrameSpec, FrameUnion

COMPONENTS = ("filters", "list", "viewer", "scene", "reviewing")
FRAMES = 8  # of a clip
LONGEST_SIDE = 480  # pixels, of a picture
MAX_BYTES = 16 * 1024**2
Write = Callable[[str, bytes], None]


def write_review_page(
    folder: CurationFolder,
    actions: Sequence[ActionMeaning],
    out: Path,
    *,
    only: Collection[str] | None = None,
    rejected: bool = False,
    prefill: Mapping[str, Mapping[str, str]] | None = None,
    progress: Progress,
) -> Path:
    """Write the page into the folder `out`: clips with frames, boxes and verdicts, and what to say of them.

    Args:
        folder: the curation.
        actions: what there is to choose from.
        out: a folder that is new, empty, or holds a page that was written here.
        only: the clips to show; None shows those that passed all stages.
        rejected: whether those that a stage rejected are shown, too; those that trim rejected have no frames.
        prefill: what captions and their sources begin with, by clip.
        progress: told of the drawing.

    Returns:
        The file of the page.

    Raises:
        DataError: there is no such clip, or none to review.
        UsageError: `out` holds files from elsewhere.
        RunError: it cannot be written, or the file of a clip is not the one that was cut.
    """
    clips = folder.pieces if rejected else folder.accepted()
    if only is not None:
        if unknown := sorted(set(only) - set(folder.pieces)):
            raise DataError(f"there is no clip {unknown[0]}", path=folder.path)
        clips = [clip for clip in folder.pieces if clip in only]
    if not clips:
        raise DataError("no clip to review", path=folder.path)
    folder.check_files([clip for clip in clips if folder.sha256(clip)])
    with new_folder(out) as pages:
        progress.stage("drawing", len(clips))
        shown = _draw(folder, clips, pages.write, progress)
        data = {
            "columns": COLUMNS,
            "reasons": REASONS,
            "sources": SOURCES,
            "most": MOST_ACTIONS,
            "longest": LONGEST,
            "actions": [one.model_dump() for one in actions],
            "clips": [
                _clip(folder, clip, pictures, (prefill or {}).get(clip, {}))
                for clip, pictures in zip(clips, shown, strict=True)
            ],
        }
        pages.write("index.html", render("review", COMPONENTS, data, title="Review", clips=len(clips)))
    return out / "index.html"


def _draw(
    folder: CurationFolder, clips: Sequence[str], write: Write, progress: Progress
) -> list[dict[str, Any]]:
    """Write some frames of each clip; their places and size, or why there is none."""
    found: list[dict[str, Any]] = []
    waiting: deque[tuple[str, Future[Frames]]] = deque()

    def take(clip: str, future: Future[Frames]) -> None:
        try:
            found.append(_pictures(future.result(), folder.persons(clip), len(found), write))
        except DecodeError as error:
            found.append({"frames": [], "size": [1, 1], "why": str(error)})
        progress.advance()

    with DecodePool() as pool:
        for clip in clips:
            if len(waiting) == pool.ahead:
                take(*waiting.popleft())
            waiting.append((clip, _decoded(pool, folder, clip)))
        while waiting:
            take(*waiting.popleft())
    return found


def _decoded(pool: DecodePool, folder: CurationFolder, clip: str) -> Future[Frames]:
    """Some frames of a clip; a `DecodeError` where it could not be cut."""
    trimmed = folder.verdicts[clip]["trim"]
    if trimmed.passed:
        return pool.submit(folder.video(clip), _chosen(folder.persons(clip)))
    without: Future[Frames] = Future()
    without.set_exception(DecodeError(trimmed.reason))
    return without


def _chosen(boxes: Sequence[Box]) -> FrameUnion:
    """Some frames, and the key frame of each person: its actions are those of that moment."""
    keys = sorted({box.frame - 1 for box in _key_boxes(boxes)})
    return FrameUnion(specs=(FrameSpec.parse(FRAMES), FramePositions(positions=tuple(keys))))


def _key_boxes(boxes: Sequence[Box]) -> tuple[Box, ...]:
    return choose_key_frames(boxes)[1]


def _pictures(frames: Frames, boxes: Sequence[Box], number: int, write: Write) -> dict[str, Any]:
    height, width = frames.pixels.shape[1:3]
    keys = [(box.frame, box.person) for box in _key_boxes(boxes)]
    shown = []
    for index, picture in zip(frames.indices, jpegs(frames.pixels, LONGEST_SIDE), strict=True):
        name = f"frames/{number:05d}/{index}.jpg"
        write(name, picture)
        own = [box for box in boxes if box.frame == index + 1]
        corners = [[box.xmin / width, box.ymin / height, box.xmax / width, box.ymax / height] for box in own]
        shown.append(
            {
                "frame": index + 1,
                "picture": name,
                "key": [str(person) for frame, person in keys if frame == index + 1],
                "boxes": [
                    {"name": str(box.person), "corners": [round(share, 4) for share in shares]}
                    for box, shares in zip(own, corners, strict=True)
                ],
            }
        )
    return {"frames": shown, "size": [width, height], "why": ""}


def _clip(
    folder: CurationFolder, clip: str, pictures: Mapping[str, Any], prefill: Mapping[str, str]
) -> dict[str, Any]:
    footage = folder.footage_of(clip)
    own = {name: prefill.get(name, "") for name in ("caption", *SOURCES)}
    own["mission"] = own["mission"] or footage.mission
    verdicts = [
        {"stage": stage, "passed": one.passed, "reason": one.reason, "numbers": _numbers(one.numbers)}
        for stage, one in folder.verdicts[clip].items()
    ]
    return {
        "id": clip,
        "fingerprint": fingerprint(folder, clip),
        "kind": footage.kind,
        "origin": footage.origin,
        "verdicts": verdicts,
        "persons": sorted({box.person for box in folder.persons(clip)}),
        "prefill": own,
        **pictures,
    }


def _numbers(numbers: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_told(value)}" for name, value in numbers.items() if name != "sha256")


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def read_prefill(path: Path, known: Collection[str]) -> dict[str, dict[str, str]]:
    """What captions and their sources begin with: a CSV file with `video_id` and any of the columns.

    Of several rows of a clip, the last counts.

    Args:
        path: the file.
        known: the clips that there are, those of earlier settings included.

    Raises:
        DataError: it cannot be read, lacks `video_id`, names a clip that is not known, or a row has too few
            fields or too many.
    """
    found = {}
    for number, row in read_rows(path, ("video_id",), MAX_BYTES):
        if row["video_id"] not in known:
            raise DataError(f"there is no clip {row['video_id']!r}", path=path, item=f"row {number}")
        found[row["video_id"]] = row
    return found
