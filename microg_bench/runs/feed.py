"""What a run is fed by: the engine that answers, and the way in which clips come to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from microg_bench.adapters.base import Floor
from microg_bench.adapters.references import References
from microg_bench.engines import Engine, Job, engine_class
from microg_bench.engines.function import FunctionEngine
from microg_bench.runs.frames import (
    Description,
    FrameStream,
    decoded,
    described,
    make_gallery,
    nothing_shown,
    whole,
)
from microg_bench.runs.plan import Work
from microg_bench.runs.prepare import Prepared
from microg_bench.runs.watcher import Watcher
from microg_bench.video import DecodePool, FrameSpec, FrameUnion

GALLERY_FILE = "gallery.jsonl"

Feed = Callable[[Iterable[Work]], FrameStream]


def make_feed(
    prepared: Prepared,
    spec: FrameSpec | FrameUnion | None,
    pool: DecodePool | None,
    root: Path,
    watcher: Watcher,
) -> tuple[Engine, Feed]:
    """The engine of a run, not started, and its clips, shown as `spec` says.

    A floor that sees has described them all by then.

    Raises:
        RunError: the descriptions of an earlier start are damaged.
    """
    if isinstance(prepared.adapter, Floor):
        return _floor_feed(prepared, prepared.adapter, pool, root, watcher)
    watcher.note(f"starting engine {prepared.engine} with {prepared.engine_options.checkpoint}")
    engine = engine_class(prepared.engine)(prepared.engine_options)
    if prepared.whole:
        return engine, whole
    if pool is None or spec is None:
        return engine, nothing_shown
    return engine, partial(decoded, pool=pool, spec=spec, ahead=2 * prepared.options.decoders)


def _floor_feed(
    prepared: Prepared, floor: Floor, pool: DecodePool | None, root: Path, watcher: Watcher
) -> tuple[Engine, Feed]:
    clips = prepared.dataset.clips
    if pool is None or prepared.spec is None:
        return _floor_engine(floor, References(clips)), nothing_shown
    watcher.begin("describing clips", len(clips), 0)
    gallery = asyncio.run(make_gallery(clips, floor, pool, prepared.spec, root / GALLERY_FILE, watcher.step))
    seen = {name: one.descriptor for name, one in gallery.items() if isinstance(one, Description)}
    return _floor_engine(floor, References(clips, seen)), partial(described, gallery=gallery)


def _floor_engine(floor: Floor, references: References) -> FunctionEngine:
    return FunctionEngine(function=partial(_floor_answer, floor, references))


def _floor_answer(floor: Floor, references: References, job: Job) -> str:
    request = job.request
    return floor.answer(request, references.descriptor(request.video_id), references.without(request.source))
