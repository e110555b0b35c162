"""What `microg-bench har train` prints and writes beside the weights."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microg_bench import har
from microg_bench.cli.console import interruptible, output
from microg_bench.dataset.labels import LabelMap
from microg_bench.errors import RunError
from microg_bench.pages.training_page import training_page
from microg_bench.progress import Progress, RichProgress
from microg_bench.storage import write_bytes
from microg_bench.text import many, printable

PAGE = "curves.html"


def is_first() -> bool:
    """Whether this is the process that writes and prints, of several that were launched together."""
    return os.environ.get("RANK", "0") == "0"


def train(
    run: Path, labels: LabelMap, *, dry_run: bool, model: str, data: str | None, **options: Any
) -> None:
    """Train, and write the page of the curves after each epoch; or tell what it would take."""
    title = f"Training of {model}"
    facts = {"model": model, **{name: str(value) for name, value in options.items() if value is not None}}

    def after(curves: Sequence[Mapping[str, float | None]]) -> None:
        write_bytes(run / PAGE, training_page(title, curves, facts))

    with interruptible("every epoch"), RichProgress() as progress:
        if dry_run:
            found = _estimate(model, data, labels, progress, options)
            if is_first():
                output().print(found)
            return
        trained = har.train(model, data, run=run, labels=labels, progress=progress, after=after, **options)
    said = [many(len(trained.curves), "epoch")]
    if trained.best_map is not None:
        said[0] += f", the best is epoch {trained.best_epoch}: validation mAP {trained.best_map:.2f}"
    said += [f"weights: {trained.weights}", f"curves: {run / PAGE}"]
    if is_first():
        output().print("\n".join(map(printable, said)))
    if trained.fault:
        raise RunError(trained.fault, path=run)


def _estimate(
    model: str, data: str | None, labels: LabelMap, progress: Progress, options: Mapping[str, Any]
) -> str:
    from microg_bench.har.training import estimate, prepare

    trainer, settings = prepare(model, data, labels=labels, progress=progress, **options)
    found = estimate(trainer)
    return "\n".join(
        (
            f"{model}, recipe {settings.recipe.recipe}, from {settings.start}",
            f"{many(found.clips, 'key frame')} with {many(found.boxes, 'box')}: {found.steps:,} steps an"
            f" epoch of {trainer.clips} clips, {trainer.part} at a time on a device",
            f"one step took {found.seconds:.1f} s and {found.memory / 1024**3:.1f} GiB at most",
            f"{many(found.epochs, 'epoch')} of {many(found.steps, 'step')}: about {found.total / 3600:.1f} h,"
            " without evaluations",
        )
    )
