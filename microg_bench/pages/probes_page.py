"""The page of probes: what changes with the frames, and the answers under each condition, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microg_bench.dataset.load import Dataset
from microg_bench.pages.folder import PageFolder, new_folder
from microg_bench.pages.frames import (
    PICTURES,
    Recorded,
    Strip,
    draw,
    evenly,
    frames_json,
    note_of_some,
    recorded,
    why_none,
)
from microg_bench.pages.run_page import asked_items
from microg_bench.pages.shell import render
from microg_bench.progress import Progress
from microg_bench.records import AnswerTask
from microg_bench.runs.public import public
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT
from microg_bench.scoring.probes import LEVEL, PLAIN, PROBES, ProbeEffect, folder_name
from microg_bench.storage import write_bytes
from microg_bench.tables.probes import ProbedRuns, metrics_of
from microg_bench.tasks import TASKS

COMPONENTS = ("filters", "table", "frames", "difference", "charts", "list", "viewer", "keys", "browse")
PAGE_FILE = "index.html"
MOST_PICTURED = 24  # clips, each under every condition

Strips = Mapping[str, Mapping[str, Strip]]  # by condition and clip


def write_probes_page(
    probed: ProbedRuns, dataset: Dataset | None, *, pictures: bool = True, progress: Progress
) -> Path:
    """Write the page of probes into their folder; the same runs give the same bytes.

    Args:
        probed: runs and report.
        dataset: references and videos; None shows the answers alone.
        pictures: whether frames are drawn as the model was shown them, of `MOST_PICTURED` clips at most.
        progress: told of the drawing.

    Returns:
        The file of the page, which is written when its pictures are in place.

    Raises:
        RunError: a file cannot be written, or a run is damaged.
        UsageError: the folder of the pictures holds files from elsewhere.
    """
    runs = {
        label: {task: public(one) for task, one in own.items()} for label, own in probed.conditions.items()
    }
    shown = ProbedRuns(probed.folder, runs, probed.report)
    settings = next(iter(runs[PLAIN].values())).settings
    note = why_none(settings, dataset, pictures)
    strips: Strips = {}
    with new_folder(probed.folder / PICTURES) as folder:
        if note is None and dataset:
            strips = _draw(shown, dataset, folder, progress)
    page = probes_page(shown, dataset, strips, note)
    write_bytes(probed.folder / PAGE_FILE, page)
    return probed.folder / PAGE_FILE


def _draw(probed: ProbedRuns, dataset: Dataset, folder: PageFolder, progress: Progress) -> Strips:
    """The pictures of some clips, which lie evenly among all, under each condition that shows frames."""
    found = {label: recorded(own.values()) for label, own in probed.conditions.items()}
    clips = evenly(found[PLAIN], MOST_PICTURED)
    chosen = {label: {name: shown[name] for name in clips if name in shown} for label, shown in found.items()}
    progress.stage("drawing frames", sum(map(len, chosen.values())))
    strips = {}
    for label, shown in chosen.items():
        settings = next(iter(probed.conditions[label].values())).settings
        if shown:
            strips[label] = draw(dataset, settings, shown, folder.write, progress.advance, folder_name(label))
    return strips


def probes_page(
    probed: ProbedRuns,
    dataset: Dataset | None,
    strips: Strips,
    note: str | None = None,
    home: str | None = None,
) -> bytes:
    """The page, as UTF-8; `note` says why there are no pictures, `home` is where "back" leads."""
    report = probed.report
    plain = probed.conditions[PLAIN]
    data = _data(probed, dataset, strips)
    first = next(iter(plain.values()))
    return render(
        "probes",
        COMPONENTS,
        {"pictures": PICTURES, **data},
        title=f"Probes of {report.title}",
        report=report,
        tasks=[
            {
                "name": TASKS[task].title,
                "effects": report.of_task(task),
                "metrics": metrics_of(report.of_task(task)),
            }
            for task in report.tasks
        ],
        warning="" if report.fingerprint != SAMPLE_FINGERPRINT else NO_BENCHMARK.capitalize(),
        settings=first.settings,
        level=LEVEL,
        note=note or note_of_some(len(strips.get(PLAIN, {})), len(data["clips"])),
        home=home,
    )


def _data(probed: ProbedRuns, dataset: Dataset | None, strips: Strips) -> dict[str, Any]:
    """What the page's script reads; conditions and clips are known by their places."""
    labels = list(probed.conditions)
    by_condition = {label: recorded(own.values()) for label, own in probed.conditions.items()}
    asked = [
        (task, *one)
        for task, own in enumerate(probed.conditions[PLAIN].values())
        for one in asked_items(own, dataset)
    ]
    sources = {request.video_id: request.source for _, request, _ in asked}
    clips = {name: place for place, name in enumerate(sources)}
    asked.sort(key=lambda one: clips[one[1].video_id])
    return {
        "conditions": [_condition(label, probed) for label in labels],
        "tasks": [_task(task, probed.report.of_task(task)) for task in probed.report.tasks],
        "clips": [
            {"id": name, "source": source, "shown": _shown(name, by_condition, strips)}
            for name, source in sources.items()
        ],
        "items": [
            {
                "task": task,
                "clip": clips[request.video_id],
                "id": request.id,
                "question": request.question,
                "reference": reference,
                **side_by_side(
                    [
                        said_of(request.id, own[probed.report.tasks[task]])
                        for own in probed.conditions.values()
                    ]
                ),
            }
            for task, request, reference in asked
        ],
    }


def _condition(label: str, probed: ProbedRuns) -> dict[str, Any]:
    """`base` is the place of what it is compared with; None for what is only compared with."""
    effect = next((one for one in probed.report.effects if one.transforms == label), None)
    base = effect and list(probed.conditions).index(effect.base)
    return {"label": label, "what": PROBES[effect.probe].what if effect else "", "base": base}


def _task(task: AnswerTask, effects: Sequence[ProbeEffect]) -> dict[str, Any]:
    """The differences that are drawn: of each metric, by condition."""
    return {
        "title": TASKS[task].title,
        "metrics": [
            {
                "name": name,
                "rows": [
                    {
                        "name": one.transforms,
                        "value": effect.difference,
                        "bounds": effect.interval,
                        "strong": effect.corrected is not None and effect.corrected < LEVEL,
                    }
                    for one in effects
                    if (effect := one.metrics.get(name))
                ],
            }
            for name in metrics_of(effects)
        ],
    }


def _shown(
    name: str, found: Mapping[str, Mapping[str, Recorded]], strips: Strips
) -> list[dict[str, Any] | None]:
    """What was shown of a clip under each condition; None where nothing was."""
    return [
        frames_json(name, shown[name], strips.get(label, {}).get(name), f"{folder_name(label)}/")
        if name in shown
        else None
        for label, shown in found.items()
    ]


def said_of(name: str, run: RunRecord) -> str | None:
    """What a run answered to a request; None where it has no answer."""
    return run.answers[name].answer if name in run.answers else None


def side_by_side(said: Sequence[str | None]) -> dict[str, Any]:
    """The texts that several runs answered, each once, and the place of that of each run; None for none."""
    texts = list(dict.fromkeys(text for text in said if text is not None))
    return {"texts": texts, "answers": [None if text is None else texts.index(text) for text in said]}
