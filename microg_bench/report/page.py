"""The page of a run: every item with its frames, reference, answer and scores, and how it all came about."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from microg_bench.dataset.wording import is_absent
from microg_bench.errors import RunError
from microg_bench.report.frames import Strip, recorded
from microg_bench.report.part import Asked, Part
from microg_bench.report.shell import render
from microg_bench.tasks import TASKS

STYLES = ("base.css", "run.css")
SCRIPTS = (
    "dom.js",
    "difference.js",
    "histogram.js",
    "items.js",
    "filters.js",
    "opened.js",
    "list.js",
    "keys.js",
    "run.js",
)


def check_together(parts: Sequence[Part]) -> None:
    """Accept runs that one page can show: different tasks of one model on one dataset, shown the same frames.

    Raises:
        RunError: what differs is named.
    """
    if len({part.settings.task for part in parts}) < len(parts):
        raise RunError("two of these runs are of the same task: report them one by one")
    for what in ("model", "fingerprint", "frames"):
        values = dict.fromkeys(getattr(part.settings, what) for part in parts)
        if len(values) > 1:
            raise RunError(f"these runs differ in {what} ({', '.join(values)}): report them one by one")


def run_page(
    parts: Sequence[Part],
    strips: Mapping[str, Strip],
    note: str | None = None,
    pictures: str = "frames",
    home: str | None = None,
) -> bytes:
    """The page of one or more runs that `check_together` accepts.

    Args:
        parts: the runs.
        strips: the frames of each clip, as far as pictures were made.
        note: why there are no pictures, where there are none.
        pictures: their folder, relative to the page.
        home: where "back" leads, relative to the page.
    """
    settings = parts[0].settings
    return render(
        "run.html",
        _data(parts, strips, pictures),
        STYLES,
        SCRIPTS,
        title=settings.title,
        home=home,
        parts=parts,
        tasks=TASKS,
        note=note or _some_missing(strips),
        provenance=[_provenance(part) for part in parts],
        pretty=_pretty,
    )


def _data(parts: Sequence[Part], strips: Mapping[str, Strip], pictures: str) -> dict[str, Any]:
    asked = [(place, one) for place, part in enumerate(parts) for one in part.asked]
    # All items of a clip stand together, in the order of the clips.
    names = dict.fromkeys(one.video_id for _, one in asked)
    clips = {name: position for position, name in enumerate(names)}
    asked.sort(key=lambda pair: clips[pair[1].video_id])
    sources = {one.video_id: one.source for _, one in asked}
    shown = recorded(parts)
    return {
        "pictures": pictures,
        "tasks": [_task(part) for part in parts],
        "clips": [_clip(name, sources[name], shown.get(name, ()), strips) for name in clips],
        "items": [_item(parts[place], place, one, clips[one.video_id]) for place, one in asked],
    }


def _task(part: Part) -> dict[str, Any]:
    return {
        "name": part.settings.task,
        "title": TASKS[part.settings.task].title,
        "metrics": _metrics(part),
    }


def _metrics(part: Part) -> list[str]:
    """The metrics that score single items, in the order of the scorecard."""
    return [name for name in part.card.scores if name in part.scores]


def _clip(name: str, source: str, shown: tuple[int, ...], strips: Mapping[str, Strip]) -> dict[str, Any]:
    clip: dict[str, Any] = {"id": name, "source": source}
    strip = strips.get(name)
    if strip and strip.folder:
        return {**clip, "folder": strip.folder, "frames": strip.frames}
    if strip and strip.why:
        clip["why"] = strip.why
    return {**clip, "frames": [[str(index)] for index in shown]}


def _item(part: Part, place: int, one: Asked, clip: int) -> dict[str, Any]:
    answer, failure = part.state.answers.get(one.id), part.state.failures.get(one.id)
    item: dict[str, Any] = {
        "id": one.id,
        "task": place,
        "clip": clip,
        "question": one.question,
        "reference": one.reference,
        "absent": one.question is not None and one.reference is not None and is_absent(one.reference),
        "scores": [number(part.scores[name].get(one.id)) for name in _metrics(part)],
    }
    if answer:
        item["answer"] = answer.answer
        item |= {"said": answer.text} if answer.text != answer.answer else {}
        item |= {"stop": answer.stop} if answer.stop != "end" else {}
    if failure:
        item["failure"] = {"stage": failure.stage, "reason": failure.reason, "text": failure.text}
    return item


def number(value: float | None) -> float | None:
    """A score with as many digits as a page needs; None for what is no number."""
    return None if value is None or not math.isfinite(value) else round(value, 3)


def _some_missing(strips: Mapping[str, Strip]) -> str | None:
    without = sum(not strip.folder for strip in strips.values())
    return f"{without} of {len(strips)} clips have no pictures; each says why." if without else None


def _provenance(part: Part) -> list[tuple[str, str]]:
    """The settings as rows of a table; what was not set is left out."""
    values = part.settings.model_dump(mode="json")
    return [
        (name.replace("_", " "), _words(value)) for name, value in values.items() if value not in (None, {})
    ]


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(one)}" for name, one in value.items())
    return str(value)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=True)
