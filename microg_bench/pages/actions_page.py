"""The page of runs of action recognition: key frames, what is true of them, what models said of them."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.actions import ActionEntry
from microg_bench.dataset.labels import FOOTAGE, LabelMap, read_groups, read_label_map
from microg_bench.dataset.load import SAMPLE_FOLDER, locate
from microg_bench.errors import DataError, DecodeError, RunError
from microg_bench.har.analysis import (
    Counts,
    ErrorCounts,
    JudgedBoxes,
    count_errors,
    footage,
    gaps,
    instead_of_missed,
    judge,
)
from microg_bench.har.answers import read_asked
from microg_bench.har.runs import ActionRun, PredictSettings, read_run
from microg_bench.har.scoring import evaluate
from microg_bench.metrics.detection import THRESHOLD
from microg_bench.pages.folder import new_folder
from microg_bench.pages.frames import jpegs
from microg_bench.pages.shell import render
from microg_bench.persons.keyframes import GONE, KeyFrame, KeyFrames, decoded_clips, load_key_frames
from microg_bench.plots.draw import numbered
from microg_bench.privacy import outgoing
from microg_bench.progress import Progress
from microg_bench.runs.record import RUN_FILE, RunRecord
from microg_bench.scorecard import (
    Scorecard,
)
from microg_bench.text import one_line
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool

COMPONENTS = ("filters", "table", "charts", "list", "viewer", "keys", "scene")
LONGEST = 480  # pixels of the longer side of a picture
RANKED = 5  # actions of a box that are told whatever their logits are, the highest first
OTHER = "other"  # the group of actions that the shipped label map does not have
Write = Callable[[str, bytes], None]
Names = NDArray[np.str_]
Errors = dict[str, dict[str, ErrorCounts]]  # by group of actions, then by kind of footage


@dataclass(frozen=True, eq=False)
class _Shown:
    """A run on the page: what it is called there, what it was made with, its boxes, its scores."""

    name: str
    settings: PredictSettings
    judged: JudgedBoxes
    card: Scorecard
    run: ActionRun

    @property
    def asked(self) -> bool:
        """Whether a model was asked in words."""
        return self.run.asked

    def told(self) -> list[str]:
        """What a reader of its scores must know, a line each."""
        said = self.run.card
        return list(self.card.warnings) if said is None else [*said.remarks(), *said.warnings]

    @property
    def actions(self) -> tuple[ActionEntry, ...]:
        """The scores of each action of the label map."""
        return self.card.har.actions if self.card.har else ()


def write_actions_page(
    folders: Sequence[Path],
    data: str | Path | None = None,
    *,
    boxes: Path | None = None,
    labels: LabelMap | None = None,
    out: Path,
    progress: Progress,
) -> Path:
    """Write the page of runs of `har run`, or of models asked about persons, side by side, into `out`.

    The scores are computed from the detections that are shown. The same runs give the same bytes.

    Args:
        folders: of runs on the same key frames of the same split, at least one.
        data: their dataset, as `--data` takes it.
        boxes: the table of boxes that they looked at, if it was not the annotations.
        labels: the actions; None takes the 50 of MicroG-4M.
        out: a folder that is new, empty, or holds a page that was written here. It is written whole or not at
            all.
        progress: told of the drawing.

    Returns:
        The file of the page.

    Raises:
        RunError: a folder holds no run, the runs looked at other key frames than each other or than those of
            the dataset, or a file cannot be written.
        DataError: the dataset or a file of detections cannot be used, or no box has an action.
        UsageError: `out` holds files from elsewhere.
    """
    labels = labels or read_label_map()
    runs = [_read(folder, data, labels) for folder in folders]
    _check_together(runs)
    key_frames = load_key_frames(data, labels, split=runs[0].settings.split, boxes=boxes, gone=True)
    if key_frames.fingerprint != runs[0].settings.key_frames:
        reason = (
            f"looked at other key frames than those of {key_frames.name}: give its --data, and its --boxes"
            " and --label-map"
        )
        raise RunError(reason, path=runs[0].folder)
    if key_frames.truth is None:
        raise DataError("no box has an action: there is nothing to compare with", path=key_frames.name)
    settings = [outgoing(run.settings) for run in runs]
    shown = [
        _Shown(
            name,
            own,
            judge(key_frames, run.detections, labels),
            evaluate(run.detections, key_frames.truth, labels),
            run,
        )
        for name, own, run in zip(names(settings, folders), settings, runs, strict=True)
    ]
    kinds = footage(locate(data), [one.video_id for one in key_frames.items])
    with new_folder(out) as folder:
        progress.stage("drawing key frames", len(key_frames))
        pictures = _draw(key_frames, folder.write, progress)
        sample = locate(data) == SAMPLE_FOLDER
        folder.write("index.html", _page(shown, key_frames, labels, kinds, pictures, sample=sample))
    return out / "index.html"


def _read(folder: Path, data: str | Path | None, labels: LabelMap) -> ActionRun:
    """The run of a network, or that of a model which was asked about persons."""
    if (folder / RUN_FILE).is_file():
        return read_asked(RunRecord.read(folder), data)
    return read_run(folder, labels)


def _check_together(runs: Sequence[ActionRun]) -> None:
    first = runs[0]
    for place, run in enumerate(runs[1:], start=1):
        if any(run.folder.samefile(other.folder) for other in runs[:place]):
            raise RunError("is given twice", path=run.folder)
        if run.settings.split != first.settings.split:
            reason = f"is of the split {run.settings.split}, {first.folder} of {first.settings.split}"
            raise RunError(f"{reason}: write a page for each", path=run.folder)
        if run.settings.key_frames != first.settings.key_frames:
            reason = f"looked at other key frames than {first.folder}: write a page for each"
            raise RunError(reason, path=run.folder)


def names(settings: Sequence[PredictSettings], folders: Sequence[Path]) -> list[str]:
    """What runs are called side by side: by their model, recipe and weights, as far as these differ.

    Where two have the same, by their folders too.
    """
    parts = [[one_line(part) for part in (one.model, one.recipe, one.checkpoint)] for one in settings]
    if len({tuple(own) for own in parts}) < len(parts):
        places = [os.path.realpath(folder) for folder in folders]
        common = os.path.commonpath(places)
        parts = [
            [*own, one_line(outgoing(os.path.relpath(place, common)))]
            for own, place in zip(parts, places, strict=True)
        ]
    told = [k for k, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1] or [0]
    return numbered([", ".join(own[k] for k in told) for own in parts])


def _page(
    runs: Sequence[_Shown],
    key_frames: KeyFrames,
    labels: LabelMap,
    kinds: Mapping[str, str],
    pictures: Sequence[Mapping[str, Any]],
    *,
    sample: bool,
) -> bytes:
    known = read_groups()
    groups = [known.get(number, OTHER).replace("_", " ").lower() for number in labels.ids]
    box_kinds = np.array([kinds[one.video_id] for one in key_frames.items for _ in one.boxes])
    return render(
        "actions",
        COMPONENTS,
        {
            "threshold": THRESHOLD,
            "actions": _actions(runs, groups),
            "runs": [{"name": one.name, "asked": one.asked, "missed": _missed(one.judged)} for one in runs],
            "gaps": _gaps(runs),
            "frames": _frames(runs, key_frames, kinds, pictures),
        },
        title="Action recognition",
        runs=runs,
        key_frames=key_frames,
        doubts=(doubts := _told(runs, lambda one: one.run.card.doubts() if one.run.card else ())),
        notes=[line for line in _notes(runs, key_frames) if line not in doubts],
        errors=[_errors(one.judged, box_kinds, np.array(groups)) for one in runs],
        threshold=THRESHOLD,
        sample=sample,
    )


def _notes(runs: Sequence[_Shown], key_frames: KeyFrames) -> list[str]:
    """What a reader must know."""

    def known(one: _Shown) -> list[str]:
        left = int((~one.judged.looked_at).sum())
        unseen = [f"{left:,} of {key_frames.boxes:,} boxes were not looked at"] if left else []
        return [*unseen, *one.told()]

    lines = _told(runs, known)
    return [*key_frames.notes, *(line for line in lines if line not in key_frames.notes)]


def _told(runs: Sequence[_Shown], said: Callable[[_Shown], Iterable[str]]) -> list[str]:
    """What is said of runs: each line once, with the run where not all say it."""
    lines: dict[str, list[str]] = {}
    for one in runs:
        for line in said(one):
            lines.setdefault(line, []).append(one.name)
    return [line if len(who) == len(runs) else f"{'; '.join(who)}: {line}" for line, who in lines.items()]


def _actions(runs: Sequence[_Shown], groups: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "group": groups[k],
            "examples": row.examples,
            "AP": [_rounded(one.actions[k].AP) for one in runs],
        }
        for k, row in enumerate(runs[0].actions)
    ]


def _gaps(runs: Sequence[_Shown]) -> list[dict[str, Any]]:
    """How much higher the AP of each action is in the second of two runs, for each two of them."""
    return [
        {"first": a, "second": b, "values": list(map(_rounded, gaps(runs[a].actions, runs[b].actions)))}
        for a in range(len(runs))
        for b in range(a + 1, len(runs))
    ]


def _missed(judged: JudgedBoxes) -> list[dict[str, Any]]:
    """The actions that were missed, the most often missed first, and what was predicted instead."""
    claimed, ranked = instead_of_missed(judged)
    true, missed = (judged.true & judged.looked_at[:, None]).sum(axis=0), judged.missed.sum(axis=0)
    order = sorted(np.flatnonzero(missed).tolist(), key=lambda k: (-missed[k], k))
    return [
        {
            "action": k,
            "true": int(true[k]),
            "missed": int(missed[k]),
            "claimed": _most(claimed[k]),
            "ranked": _most(ranked[k]),
        }
        for k in order
    ]


def _most(counts: Counts) -> list[tuple[int, int]]:
    """The actions that occur, the most frequent first, each with its count."""
    found = np.flatnonzero(counts).tolist()
    return [(k, int(counts[k])) for k in sorted(found, key=lambda k: (-counts[k], k))]


def _errors(judged: JudgedBoxes, kinds: Names, groups: Names) -> Errors:
    rows = {name: groups == name for name in dict.fromkeys(groups.tolist())}
    columns = {f"{kind} footage": kinds == kind for kind in FOOTAGE if (kinds == kind).any()}
    rows["all actions"] = np.ones(len(groups), bool)
    if len(columns) > 1:
        columns["all footage"] = np.ones(len(kinds), bool)
    return {
        row: {column: count_errors(judged, boxes, actions) for column, boxes in columns.items()}
        for row, actions in rows.items()
    }


def _frames(
    runs: Sequence[_Shown],
    key_frames: KeyFrames,
    kinds: Mapping[str, str],
    pictures: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """What the script of the page reads of each key frame; actions are numbers of the label map's lines."""
    found, first = [], 0
    for one, picture in zip(key_frames.items, pictures, strict=True):
        rows = range(first, first + len(one.boxes))
        first += len(one.boxes)
        found.append(
            {
                "id": one.id,
                "clip": one.video_id,
                "frame": one.frame,
                "footage": kinds[one.video_id],
                **picture,
                "boxes": [
                    {
                        "corners": np.round(one.boxes[row - rows.start], 4).tolist(),
                        "true": np.flatnonzero(runs[0].judged.true[row]).tolist(),
                        "said": [_said(run.judged, row) for run in runs],
                        "failed": [
                            run.run.failures.get((*one.key, *one.boxes[row - rows.start].tolist()))
                            for run in runs
                        ],
                    }
                    for row in rows
                ],
            }
        )
    return found


def _said(judged: JudgedBoxes, row: int) -> list[tuple[int, float]] | None:
    """The actions of a box with their logits, the highest first; None where the model has not looked at it.

    They are those that are true or claimed, and those that rank highest: above others.
    """
    if not judged.looked_at[row]:
        return None
    scores = judged.scores[row]
    order = np.argsort(-scores, kind="stable")
    told = judged.true[row] | judged.claimed[row]
    told[order[:RANKED]] |= scores[order[:RANKED]] > scores.min()
    return [(k, round(float(scores[k]), 6)) for k in order.tolist() if told[k] and scores[k] > -np.inf]


def _draw(key_frames: KeyFrames, write: Write, progress: Progress) -> list[dict[str, Any]]:
    """Write the picture of each key frame; its place and size, or why there is none."""
    found: list[dict[str, Any]] = []
    with DecodePool() as pool:
        for group, frames in decoded_clips(key_frames.items, lambda one: (one.frame - 1,), pool):
            for one in group:
                found.append(_picture(one, frames, f"frames/{len(found):05d}.jpg", write))
                progress.advance()
    return found


def _picture(one: KeyFrame, frames: Frames | DecodeError, name: str, write: Write) -> dict[str, Any]:
    if one.video == GONE:
        return {"why": f"the dataset has no video of {one.video_id}"}
    if isinstance(frames, DecodeError):
        return {"why": str(frames)}
    if one.frame > frames.total:
        return {"why": f"there is no frame {one.frame}: the clip has {frames.total}"}
    pixels = frames.only([one.frame - 1]).pixels
    write(name, jpegs(pixels, LONGEST)[0])
    height, width = pixels.shape[1:3]
    return {"picture": name, "size": [width, height]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
