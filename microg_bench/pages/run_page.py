"""The page of a run: every item with its frames, reference, answer and scores, and how the run was made."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from microg_bench.adapters.base import flags
from microg_bench.dataset.load import Dataset
from microg_bench.errors import RunError
from microg_bench.pages.exchange import ENDINGS, TOKENS, exchange, shapes, tokens
from microg_bench.pages.folder import PageFolder, new_folder
from microg_bench.pages.frames import Recorded, Strip, draw, frames_json, recorded, same_frames, why_none
from microg_bench.pages.headings import explanations
from microg_bench.pages.shell import render
from microg_bench.pages.videos import VideoFiles, copied, linked
from microg_bench.progress import Progress
from microg_bench.records import Failure, Request, TaskName
from microg_bench.runs.agreement import disagreement, told_starts
from microg_bench.runs.messages import Sent, sent
from microg_bench.runs.public import public
from microg_bench.runs.record import JOURNAL_FILE, RUN_FILE, RunRecord
from microg_bench.scorecard import Scorecard
from microg_bench.slices import slice_notes
from microg_bench.tasks import HAR, TASKS, is_unanswerable

COMPONENTS = (
    *("help", "filters", "table", "frames", "difference", "charts"),
    *("items", "messages", "list", "viewer", "keys", "browse"),
)

MAX_THOUGHTS = 8000  # characters of an item
Asked = list[tuple[Request, str | None]]  # requests with their references
ItemScores = Mapping[str, Mapping[str, float]]  # ×100, by metric and request id


def write_run_page(
    runs: Sequence[RunRecord],
    dataset: Dataset | None,
    out: Path,
    *,
    pictures: bool = True,
    videos: VideoFiles = "none",
    progress: Progress,
) -> Path:
    """Write the page of one or more scored runs into the folder `out`; the same runs give the same bytes.

    Args:
        runs: different tasks of one model on one dataset, shown the same frames.
        dataset: their references, and videos; None shows the answers alone.
        out: a folder that is new, empty, or holds a page that was written here. It is written whole or not at
            all.
        pictures: whether the frames that the model was shown are drawn.
        videos: whether the files of clips are linked where they are, see `videos.linked`, copied into the
            folder, or left out; linked or copied, they can be played.
        progress: told of the drawing.

    Returns:
        The file of the page.

    Raises:
        RunError: the runs do not belong together, one has not been scored or is damaged, or a file cannot be
            written.
        DataError: the dataset is not that of the runs, or a clip cannot be read.
        UsageError: `out` holds files from elsewhere.
    """
    _check_together(runs)
    for run in runs:
        check_scored(run)
        if dataset:
            run.dataset(dataset)
    runs = [public(run) for run in runs]
    settings = runs[0].settings
    note = why_none(settings, dataset, pictures)
    with new_folder(out) as folder:
        strips = {}
        if note is None and dataset and settings.frames:
            shown = recorded(runs)
            progress.stage("drawing frames", len(shown))
            strips = draw(dataset, settings, shown, folder.write, progress.advance)
        scores = [run.item_scores() for run in runs]
        addresses = videos_of(runs, dataset, out, folder, videos)
        folder.write("index.html", run_page(runs, dataset, scores, strips, note, addresses=addresses))
    return out / "index.html"


def videos_of(
    runs: Sequence[RunRecord], dataset: Dataset | None, out: Path, folder: PageFolder, how: VideoFiles
) -> dict[str, str]:
    """The files of the clips of `runs`, by their ids, as the page at `out` names them."""
    if dataset is None or how == "none":
        return {}
    names = {request.video_id for run in runs for request, _ in asked_items(run, dataset)}
    return linked(dataset, names, out) if how == "link" else copied(dataset, names, folder.write)


def _check_together(runs: Sequence[RunRecord]) -> None:
    if any(run.settings.task == HAR for run in runs):
        raise RunError(f"runs of {HAR} have a page of their own: `microg-bench har report`")
    first: dict[TaskName, RunRecord] = {}
    for run in runs:
        if other := first.get(run.settings.task):
            aside = f"`microg-bench report {other.path} {run.path}` shows them side by side"
            raise RunError(f"{other.path} and {run.path} are of the same task: {aside}")
        first[run.settings.task] = run
    for what in ("model", "fingerprint", "shown"):
        values = dict.fromkeys(getattr(run.settings, what) for run in runs)
        if len(values) > 1:
            name = "frames" if what == "shown" else what
            raise RunError(f"these runs differ in {name} ({', '.join(values)}): write a page for each")
    if not same_frames(run.settings for run in runs):
        raise RunError("the frames of these runs were transformed with other seeds: write a page for each")


def check_scored(run: RunRecord) -> None:
    """Accept a run whose answers and scorecard belong together.

    Raises:
        RunError: it has not been scored, holds no answers, or others than it was scored with.
    """
    if run.scorecard.task != run.settings.task:
        raise RunError(f"its scorecard does not belong to its {RUN_FILE}", path=run.path)
    if not run.has_journal:
        raise RunError(f"holds no {JOURNAL_FILE}, so there are no answers to show", path=run.path)
    if why := disagreement(run):
        raise RunError(why, path=run.path)


def run_page(  # noqa: PLR0913 - what a page is made of
    runs: Sequence[RunRecord],
    dataset: Dataset | None,
    scores: Sequence[ItemScores],
    strips: Mapping[str, Strip],
    note: str | None = None,
    pictures: str = "frames",
    home: str | None = None,
    addresses: Mapping[str, str] | None = None,
) -> bytes:
    """The page of runs that belong together; `scores` holds the item scores of each.

    `strips` are the frames of each clip, as far as pictures were made, and `note` says why there are none.
    `pictures`, their folder, `home`, where "back" leads, and `addresses`, those of the files of clips, by id,
    are relative to the page.
    """
    settings = runs[0].settings
    named = settings.checkpoint or ""
    checkpoint = "" if named in settings.title else named
    title = f"{settings.title} ({checkpoint})" if checkpoint else settings.title
    asked = [asked_items(run, dataset) for run in runs]
    messages = [sent(run, [one for one, _ in own]) for run, own in zip(runs, asked, strict=True)]
    data = _data(runs, asked, messages, scores, strips, addresses or {})
    doubts = _said(runs, Scorecard.doubts)
    return render(
        "run",
        COMPONENTS,
        {"pictures": pictures, **data},
        title=title,
        settings=settings,
        checkpoint=checkpoint,
        doubts=doubts,
        remarks=[line for line in _said(runs, Scorecard.remarks) if line not in doubts],
        home=home,
        runs=runs,
        tasks=TASKS,
        note=note or _some_missing(strips.values()),
        provenance=[_provenance(run) for run in runs],
        pretty=partial(json.dumps, indent=2),
        starts=[told_starts(run) for run in runs],
        slice_notes=slice_notes,
        about=defaultdict(str, explanations({name for run in runs for name in run.scorecard.scores})),
        exchanges=[exchange(run, TASKS[run.settings.task].title) for run in runs],
        sent=messages,
    )


def _said(runs: Sequence[RunRecord], said: Callable[[Scorecard], Iterable[str]]) -> list[str]:
    """What scorecards say, each line once; a line that not all say is told by the task."""
    lines: dict[str, list[str]] = {}
    for run in runs:
        for line in said(run.scorecard):
            lines.setdefault(line, []).append(TASKS[run.settings.task].title)
    return [
        line if len(tasks) == len(runs) else f"{', '.join(tasks)}: {line}" for line, tasks in lines.items()
    ]


def _data(
    runs: Sequence[RunRecord],
    asked: Sequence[Asked],
    messages: Sequence[Sent],
    scores: Sequence[ItemScores],
    strips: Mapping[str, Strip],
    addresses: Mapping[str, str],
) -> dict[str, Any]:
    """What the page's script reads: all items of a clip stand together, in the order of the clips."""
    sources = {request.video_id: request.source for own in asked for request, _ in own}
    clips = {name: place for place, name in enumerate(sources)}
    shown = recorded(runs)
    prompts, places = shapes(messages, asked)
    # The metrics that score single items, in the order of the scorecard.
    known = [
        {name: items[name] for name in run.scorecard.scores if name in items}
        for run, items in zip(runs, scores, strict=True)
    ]
    items = [
        {
            "task": task,
            "clip": clips[request.video_id],
            **item_json(run, request, reference, known[task]),
            **({"prompt": places[request.id]} if request.id in places else {}),
        }
        for task, (run, own) in enumerate(zip(runs, asked, strict=True))
        for request, reference in own
    ]
    return {
        "tasks": [
            {
                "name": run.settings.task,
                "title": TASKS[run.settings.task].title,
                "metrics": list(metrics),
                "unsent": told.why,
            }
            for run, metrics, told in zip(runs, known, messages, strict=True)
        ],
        "clips": [
            clip_json(name, source, shown.get(name), strips, addresses.get(name))
            for name, source in sources.items()
        ],
        "items": sorted(items, key=lambda item: item["clip"]),
        "prompts": prompts,
        "endings": ENDINGS,
        "tokens": TOKENS,
    }


def asked_items(run: RunRecord, dataset: Dataset | None) -> Asked:
    """Everything that the run asked, with its reference; None where no dataset is at hand."""
    if dataset is None:
        return [(request, None) for request in run.requests()]
    return [(item.request, item.reference) for item in run.items(dataset)]


def clip_json(
    name: str, source: str, shown: Recorded | None, strips: Mapping[str, Strip], video: str | None = None
) -> dict[str, Any]:
    """A clip as scripts read it; see `assets/components/frames.js`."""
    own = {"source": source, **({"video": video} if video else {})}
    return {**frames_json(name, shown, strips.get(name)), **own}


def item_json(run: RunRecord, request: Request, reference: str | None, scores: ItemScores) -> dict[str, Any]:
    """An item as scripts read it, with its scores by metric; see `assets/components/items.js`."""
    answer, failure = run.answers.get(request.id), run.failures.get(request.id)
    asked = request.question is not None and reference is not None
    item: dict[str, Any] = {
        "id": request.id,
        "question": request.question,
        "reference": reference,
        "unanswerable": asked and is_unanswerable(reference or ""),
        "scores": [rounded(items.get(request.id)) for items in scores.values()],
    }
    if answer:
        item["answer"] = answer.answer
        item |= {"said": answer.text} if answer.text != answer.answer else {}
        item |= {"thinks": True} if "thoughts" in flags(answer.answer) else {}
        item |= {"thoughts": _cut(answer.reasoning)} if answer.reasoning else {}
    if failure:
        text, thoughts = _said_in_vain(failure)
        item["failure"] = {"stage": failure.stage, "reason": failure.reason, "text": text}
        item |= {"thoughts": _cut(thoughts)} if thoughts else {}
    said = answer or (failure and failure.response)
    if said:
        item |= {"ended": ENDINGS[said.finish_reason]} if said.finish_reason != "stop" else {}
        counts = tokens(said)
        item |= {"tokens": counts} if any(count is not None for count in counts) else {}
    return item


def _said_in_vain(failure: Failure) -> tuple[str | None, str | None]:
    """What the model said in which there is no answer, and its thoughts."""
    said = failure.response
    if said is None:
        return None, None
    if failure.stage != "thinking":
        return said.text, said.reasoning
    return None, "\n\n".join(filter(None, (said.reasoning, said.text)))


def _cut(thoughts: str) -> str:
    """Thoughts as long as a page of thousands of items takes them."""
    if len(thoughts) <= MAX_THOUGHTS:
        return thoughts
    return f"{thoughts[:MAX_THOUGHTS]}… ({len(thoughts):,} characters in all, see {JOURNAL_FILE})"


def rounded(value: float | None) -> float | None:
    """A score with as many digits as a page needs; None for what is no number."""
    return None if value is None or not math.isfinite(value) else round(value, 3)


def _some_missing(strips: Iterable[Strip]) -> str | None:
    folders = [strip.folder for strip in strips]
    without = folders.count(None)
    return f"{without} of {len(folders)} clips have no pictures; each says why." if without else None


def _provenance(run: RunRecord) -> list[tuple[str, str]]:
    """The settings as rows of a table; what was not set is left out."""
    settings = run.settings
    values = settings.model_dump(mode="json") | {
        "frames": settings.shown,
        "prompt": settings.prompt and str(settings.prompt),
    }
    return [
        (name.replace("_", " "), _words(value))
        for name, value in values.items()
        if value not in (None, {}, [])
    ]


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(one)}" for name, one in value.items() if one is not None)
    return str(value)
