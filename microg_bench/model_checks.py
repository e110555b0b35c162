"""Checks of a model: of its adapter, and of a checkpoint by asking about two clips of the sample set."""

import tempfile
from functools import partial
from typing import Any

from microg_bench.adapters.conformance import Check, check_adapter, check_import
from microg_bench.adapters.registry import find_adapter
from microg_bench.api import evaluate
from microg_bench.errors import MicrogError


def check_model(name: str, checkpoint: str | None = None, engine: str | None = None) -> list[Check]:
    """Check an adapter; with a checkpoint, also ask it about two clips of the sample set, in both tasks.

    Args:
        name: name of a model, or an adapter's .py file.
        checkpoint: weights to run: a folder or a hub id.
        engine: what runs them; None takes the first of the adapter's that is usable.

    Raises:
        UsageError: there is no such model.
    """
    adapter, imported = check_import(partial(find_adapter, name))
    checks = [imported, *check_adapter(adapter)]
    if checkpoint is not None:
        problem = _smoke_test(model=name, checkpoint=checkpoint, engine=engine)
        checks.append(Check("the checkpoint captions and answers about two sample clips", problem))
    return checks


def _smoke_test(**options: Any) -> str:
    """What goes wrong in a short run; empty where nothing does."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            results = evaluate(
                data="sample", limit=2, metrics="ROUGE-L", run=folder, progress=None, **options
            )
            for task, record in results.records.items():
                for failure in record.failures.values():
                    return f"{task}: {failure.id} failed: {failure.reason}"
                frames, shown = record.settings.frames, {len(one.frames) for one in record.answers.values()}
                if frames and frames.count and shown != {frames.count}:
                    return f"{task}: {frames.count} frames were asked for, {sorted(shown)} were shown"
    except MicrogError as error:
        return str(error)
    return ""
