"""The page of several runs: the same items with the answers of all, and the comparison of their scores."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from microg_bench.dataset.load import Dataset
from microg_bench.errors import DataError, UsageError
from microg_bench.pages.exchange import ENDINGS
from microg_bench.pages.folder import new_folder
from microg_bench.pages.frames import Recorded, Strip, draw, recorded, same_frames, why_none
from microg_bench.pages.headings import explanations
from microg_bench.pages.run_page import (
    ItemScores,
    asked_items,
    check_scored,
    clip_json,
    item_json,
    videos_of,
)
from microg_bench.pages.shell import render
from microg_bench.pages.videos import VideoFiles
from microg_bench.progress import Progress
from microg_bench.records import Request, TaskName
from microg_bench.runs.public import public
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.compare import Comparison, compare
from microg_bench.scoring.comparison_notes import comparison_remarks, difference_notes, pair_name
from microg_bench.slices import SIGNIFICANT
from microg_bench.tasks import TASKS

COMPONENTS = (
    "help",
    "filters",
    "table",
    "frames",
    "difference",
    "charts",
    "items",
    "list",
    "viewer",
    "keys",
    "browse",
)
MOST_RUNS = 8
SHARED = ("id", "question", "reference", "unanswerable")  # by all runs of an item
OTHER_FRAMES = "These runs were shown different frames; the page of each run has its own."

Runs = Mapping[TaskName, Sequence[RunRecord]]  # of each task the runs in the same order


def write_comparison_page(
    runs: Runs,
    dataset: Dataset | None,
    out: Path,
    *,
    pictures: bool = True,
    videos: VideoFiles = "none",
    progress: Progress,
) -> Path:
    """Write the page of scored runs side by side into the folder `out`; the same runs give the same bytes.

    Args:
        runs: two or more of each task, see `scoring.compare.comparable`.
        dataset: their references, and videos; None shows the answers alone.
        out: a folder that is new, empty, or holds a page that was written here. It is written whole or not at
            all.
        pictures: whether frames are drawn, where all runs were shown the same.
        videos: see `run_page.write_run_page`.
        progress: told of the drawing.

    Returns:
        The file of the page.

    Raises:
        DataError: they answer about other references, or the dataset is not theirs.
        RunError: a run has not been scored or is damaged, or a file cannot be written.
        UsageError: there are more than `MOST_RUNS`, one is given twice, or `out` holds files from elsewhere.
    """
    _check(runs, dataset)
    compared = [_compared(task, list(map(public, own))) for task, own in runs.items()]
    first = compared[0].runs
    everything = [run for one in compared for run in one.runs]
    alike = same_frames(run.settings for run in everything)
    note = why_none(first[0].settings, dataset, pictures) if alike else OTHER_FRAMES
    shown = recorded(everything) if alike else {}
    with new_folder(out) as folder:
        strips = {}
        if note is None and dataset:
            progress.stage("drawing frames", len(shown))
            strips = draw(dataset, first[0].settings, shown, folder.write, progress.advance)
        addresses = videos_of(everything, dataset, out, folder, videos)
        folder.write("index.html", comparison_page(compared, dataset, shown, strips, note, addresses))
    return out / "index.html"


def _check(runs: Runs, dataset: Dataset | None) -> None:
    for own in runs.values():
        if len(own) > MOST_RUNS:
            raise UsageError(f"give at most {MOST_RUNS} runs to show side by side")
        if len({run.path.resolve() for run in own}) < len(own):
            raise UsageError("give two or more different runs to show side by side", path=own[0].path)
        for run in own:
            check_scored(run)
            if run.settings.fingerprint != own[0].settings.fingerprint:
                names = f"{own[0].settings.dataset} and {run.settings.dataset}"
                reason = f"they answer about other references ({names}): they cannot be shown side by side"
                raise DataError(reason, item=f"{own[0].path} and {run.path}")
            if dataset:
                run.dataset(dataset)


@dataclass(frozen=True)
class ComparedRuns:
    """The runs of one task, and how the scores of those compare that can be compared with each other.

    Each part of `found` has the pairs of such runs; `apart` says which runs stand apart from others, and why.
    """

    task: TaskName
    runs: Sequence[RunRecord]
    found: Sequence[Sequence[Comparison]] = ()
    apart: Sequence[str] = ()
    letters: Mapping[Path, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The title of the task."""
        return TASKS[self.task].title

    @cached_property
    def item_scores(self) -> list[ItemScores]:
        """The scores of each run under the metrics that score single items of all, as in its scorecard."""
        scored = [run.item_scores() for run in self.runs]
        names = [name for name in self.runs[0].scorecard.scores if all(name in own for own in scored)]
        return [{name: own[name] for name in names} for own in scored]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each pair of runs under each score."""
        return [
            {
                "metric": one.metric,
                "pair": pair_name(one, self.letters),
                "value": one.difference.value,
                "interval": one.difference.interval,
                "p": one.difference.p,
                "corrected": one.corrected,
                "differs": one.corrected is not None and one.corrected < SIGNIFICANT,
            }
            for part in self.found
            for one in part
        ]

    def notes(self) -> list[str]:
        """What a reader of the comparison must know."""
        told = dict.fromkeys(line for part in self.found for line in difference_notes(part, self.letters))
        return [*told, *comparison_remarks(self.runs, self.letters)]


def _compared(task: TaskName, runs: Sequence[RunRecord]) -> ComparedRuns:
    letters = {run.path: letter for run, letter in zip(runs, ascii_uppercase, strict=False)}
    groups: list[list[RunRecord]] = []
    apart: list[str] = []
    for run in runs:
        reasons = []
        for group in groups:
            if not (reason := _reason(group[0], run, letters)):
                group.append(run)
                break
            reasons.append(f"{letters[run.path]} is not compared with {letters[group[0].path]}: {reason}")
        else:
            groups.append([run])
            apart += reasons
    found = [compare(group) for group in groups if len(group) > 1]
    return ComparedRuns(task, runs, found, apart, letters)


def _reason(first: RunRecord, second: RunRecord, letters: Mapping[Path, str]) -> str:
    """Why two runs cannot be compared: which is incomplete, or what differs; empty where they can be."""
    try:
        compare([first, second], resamples=1)
    except DataError as error:
        partly = [run for run in (first, second) if not run.scorecard.complete]
        return "; ".join(f"{letters[run.path]} is {run.scorecard.status}" for run in partly) or error.reason
    return ""


def comparison_page(
    compared: Sequence[ComparedRuns],
    dataset: Dataset | None,
    shown: Mapping[str, Recorded],
    strips: Mapping[str, Strip],
    note: str | None,
    addresses: Mapping[str, str],
) -> bytes:
    """The page, as UTF-8; `note` says why there are no pictures, `addresses` are the files of clips by id."""
    names = {name for one in compared for run in one.runs for name in run.scorecard.scores}
    first = compared[0].runs
    return render(
        "comparison",
        COMPONENTS,
        _data(compared, dataset, shown, strips, addresses),
        title=f"{' and '.join(run.settings.title for run in first)}, side by side",
        lettered=list(zip(ascii_uppercase, first, strict=False)),
        compared=compared,
        about=defaultdict(str, explanations(names)),
        note=note,
    )


def _data(
    compared: Sequence[ComparedRuns],
    dataset: Dataset | None,
    shown: Mapping[str, Recorded],
    strips: Mapping[str, Strip],
    addresses: Mapping[str, str],
) -> dict[str, Any]:
    """What the page's script reads: all items of a clip stand together, in the order of the clips."""
    asked = [_asked(one, dataset) for one in compared]
    sources = {request.video_id: request.source for own in asked for request, _ in own.values()}
    clips = {name: place for place, name in enumerate(sources)}
    items = [
        {"task": task, "clip": clips[request.video_id], **item}
        for task, (one, own) in enumerate(zip(compared, asked, strict=True))
        for request, item in _items(one, own)
    ]
    return {
        "pictures": "frames",
        "tasks": [
            {"name": one.task, "title": one.title, "metrics": list(one.item_scores[0])} for one in compared
        ],
        "letters": list(ascii_uppercase[: len(compared[0].runs)]),
        "clips": [
            clip_json(name, source, shown.get(name), strips, addresses.get(name))
            for name, source in sources.items()
        ],
        "items": sorted(items, key=lambda item: item["clip"]),
        "endings": ENDINGS,
    }


def _asked(one: ComparedRuns, dataset: Dataset | None) -> dict[str, tuple[Request, str | None]]:
    """Everything that any of the runs asked, with its reference, by its id."""
    return {
        request.id: (request, reference)
        for run in one.runs
        for request, reference in asked_items(run, dataset)
    }


def _items(
    one: ComparedRuns, asked: Mapping[str, tuple[Request, str | None]]
) -> Iterator[tuple[Request, dict[str, Any]]]:
    """Each item with the answers of all runs: what they share once, the rest in the list `runs`."""
    scores = list(zip(one.runs, one.item_scores, strict=True))
    for request, reference in asked.values():
        own = [item_json(run, request, reference, known) for run, known in scores]
        shared = {name: own[0][name] for name in SHARED}
        runs = [{name: value for name, value in item.items() if name not in SHARED} for item in own]
        yield request, {**shared, "runs": runs}
