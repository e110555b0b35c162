"""The page of repeats, and that of paraphrases: what scores vary by, and all answers side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.dataset.load import Dataset
from microg_bench.pages.folder import new_folder
from microg_bench.pages.frames import (
    FRAMES,
    PICTURES,
    Recorded,
    Strip,
    draw,
    evenly,
    note_of_some,
    recorded,
    why_none,
)
from microg_bench.pages.probes_page import PAGE_FILE, said_of, side_by_side
from microg_bench.pages.run_page import asked_items, clip_json, rounded
from microg_bench.pages.shell import render
from microg_bench.privacy import outgoing
from microg_bench.progress import Progress
from microg_bench.records import AnswerTask, Request
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT
from microg_bench.scoring.paraphrases import ParaphrasesReport
from microg_bench.scoring.repeats import RepeatedScore, RepeatsReport, TaskRepeats
from microg_bench.settings import Settings
from microg_bench.storage import write_bytes
from microg_bench.tables.repeats import (
    COLUMNS,
    WORDING_COLUMNS,
    cells,
    paraphrases_facts,
    repeats_facts,
    wording_cells,
)
from microg_bench.tasks import TASKS

COMPONENTS = ("filters", "frames", "difference", "charts", "list", "viewer", "keys", "browse")
MOST_PICTURED = 200  # clips
LEGEND = (
    "Scores ×100. Within: standard deviation of the score of one run by {within}; between: by the choice of "
    "source videos. The interval of the mean holds both. Charts: the score of each run less the mean."
)
BY_WORDS = "the words, where each question is asked in one of its wordings by chance"
WORDINGS = (
    "One question: standard deviation of the score of a single question by its words. In other words: score "
    "of the paraphrases less that as published, with its 95% interval and the p-value of no difference."
)
ByTask = Mapping[AnswerTask, RunRecord]
Item = tuple[Request, dict[str, Any]]  # what was asked, and what the script of the page reads of it


@dataclass(frozen=True)
class Drawn:
    """What was shown of each clip, the pictures of it, and why there are none or not of all."""

    shown: Mapping[str, Recorded]
    strips: Mapping[str, Strip]
    note: str | None


def write_repeats_page(
    folder: Path,
    report: RepeatsReport,
    repeats: Mapping[str, ByTask],
    dataset: Dataset | None,
    *,
    pictures: bool = True,
    progress: Progress,
) -> Path:
    """Write the page of repeats into their folder; the same runs give the same bytes.

    Args:
        folder: where `index.html` is written.
        report: of the repeats.
        repeats: the runs of each by its name, such as ``seed-0``.
        dataset: references and videos; None shows the answers alone.
        pictures: whether the frames that the model was shown are drawn, of `MOST_PICTURED` clips at most.
        progress: told of the drawing.

    Returns:
        The file of the page, which is written when its pictures are in place.

    Raises:
        RunError: a file cannot be written, or a run is damaged.
        UsageError: the folder of the pictures holds files from elsewhere.
    """
    items = [
        item
        for place, one in enumerate(report.tasks)
        for item in _items(place, [own[one.task] for own in repeats.values()], dataset)
    ]
    runs = [run for own in repeats.values() for run in own.values()]
    page = _page(
        outgoing(runs[0].settings),
        report.tasks,
        list(repeats),
        items,
        _draw(folder, runs, dataset, pictures, progress),
        what_of="Repeats of",
        what=f"The same requests were asked {report.repeats} times with other seeds.",
        legend=LEGEND.format(within="the chance of sampling"),
        warnings=report.warnings,
        tables=[
            {
                "name": TASKS[one.task].title,
                "facts": repeats_facts(one),
                "columns": COLUMNS,
                "rows": [(name, cells(score)) for name, score in one.metrics.items()],
            }
            for one in report.tasks
        ],
    )
    write_bytes(folder / PAGE_FILE, page)
    return folder / PAGE_FILE


def write_paraphrases_page(
    folder: Path,
    report: ParaphrasesReport,
    wordings: Mapping[str, RunRecord],
    dataset: Dataset,
    *,
    pictures: bool = True,
    progress: Progress,
) -> Path:
    """Write the page of paraphrases into their folder; see `write_repeats_page`.

    Args:
        folder: where `index.html` is written.
        report: of the paraphrases.
        wordings: the run of each wording by its name, that of the questions as published first.
        dataset: references and videos.
        pictures: whether frames are drawn.
        progress: told of the drawing.
    """
    first = next(iter(wordings.values()))
    references = {request.id: (request, reference) for request, reference in asked_items(first, dataset)}
    items = []
    for one in report.questions:
        request, reference = references[one.id]
        own = {"task": 0, "id": one.id, "asked": one.texts, "reference": reference}
        scores = {name: list(map(rounded, values)) for name, values in one.scores.items()}
        items.append((request, {**own, "scores": scores, **side_by_side(one.answers)}))
    all_of = report.wordings
    page = _page(
        outgoing(first.settings),
        [all_of],
        list(wordings),
        items,
        _draw(folder, list(wordings.values()), dataset, pictures, progress),
        what_of="Paraphrases asked of",
        what=f"The same questions were asked as published and in {report.paraphrases} paraphrases each.",
        legend=" ".join([LEGEND.format(within=BY_WORDS), WORDINGS]),
        warnings=report.warnings,
        tables=[
            {
                "name": TASKS[all_of.task].title,
                "facts": paraphrases_facts(report),
                "columns": WORDING_COLUMNS,
                "rows": [(name, wording_cells(report, name)) for name in all_of.metrics],
            }
        ],
    )
    write_bytes(folder / PAGE_FILE, page)
    return folder / PAGE_FILE


def _draw(
    folder: Path, runs: Sequence[RunRecord], dataset: Dataset | None, pictures: bool, progress: Progress
) -> Drawn:
    """Draw the frames of some clips; all runs were shown the same."""
    settings = outgoing(runs[0].settings)
    shown = recorded(runs)
    note = why_none(settings, dataset, pictures)
    strips: dict[str, Strip] = {}
    with new_folder(folder / PICTURES) as new:
        if note is None and dataset:
            chosen = {name: shown[name] for name in evenly(shown, MOST_PICTURED)}
            progress.stage("drawing frames", len(chosen))
            strips = draw(dataset, settings, chosen, new.write, progress.advance)
            note = note_of_some(len(chosen), len(shown))
    return Drawn(shown, strips, note)


def _page(
    settings: Settings,
    tasks: Sequence[TaskRepeats],
    runs: Sequence[str],
    items: Sequence[Item],
    drawn: Drawn,
    *,
    what_of: str,
    **words: Any,
) -> bytes:
    """A page of runs by their names; `words` are what the template reads beside."""
    charts = [
        {
            "title": TASKS[one.task].title,
            "metrics": [
                {"name": name, "rows": list(_marks(score, runs))} for name, score in one.metrics.items()
            ],
        }
        for one in tasks
    ]
    sources = {request.video_id: request.source for request, _ in items}
    places = {name: place for place, name in enumerate(sources)}
    clips = [clip_json(name, source, drawn.shown.get(name), drawn.strips) for name, source in sources.items()]
    listed = [{**item, "clip": places[request.video_id]} for request, item in items]
    return render(
        "repeats",
        COMPONENTS,
        {"runs": runs, "tasks": charts, "pictures": f"{PICTURES}/{FRAMES}", "clips": clips, "items": listed},
        title=f"{what_of} {settings.title}",
        settings=settings,
        warning=NO_BENCHMARK.capitalize() if settings.fingerprint == SAMPLE_FINGERPRINT else "",
        note=drawn.note,
        **words,
    )


def _marks(score: RepeatedScore, runs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What is drawn of a metric: the interval of the mean, and the score of each run, both less the mean."""
    bounds = score.interval and [rounded(bound - score.mean) for bound in score.interval]
    yield {"name": "mean", "value": 0.0, "bounds": bounds, "strong": True}
    for name, value in zip(runs, score.scores, strict=True):
        yield {"name": name, "value": rounded(value - score.mean), "bounds": None, "strong": False}


def _items(place: int, runs: Sequence[RunRecord], dataset: Dataset | None) -> Iterator[Item]:
    """The requests of a task with the answers of each run."""
    scores = [run.item_scores() for run in runs]
    for request, reference in asked_items(runs[0], dataset):
        item = {
            "task": place,
            "id": request.id,
            "asked": [request.question or "Caption"],
            "reference": reference,
            "scores": _common(scores, request.id),
            **side_by_side([said_of(request.id, run) for run in runs]),
        }
        yield request, item


def _common(scores: Sequence[Mapping[str, Mapping[str, float]]], name: str) -> dict[str, list[float | None]]:
    """The scores of a request in each run, by the metrics that all have."""
    return {
        metric: [rounded(own[metric][name]) for own in scores]
        for metric in scores[0]
        if all(name in own.get(metric, {}) for own in scores)
    }
