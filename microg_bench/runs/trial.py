"""Tries an adapter with real weights: two clips of the sample set, both tasks, its own engine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from microg_bench.adapters import Check
from microg_bench.errors import MicrogError
from microg_bench.records import Failure
from microg_bench.runs.cost import Estimate
from microg_bench.runs.folder import read_state
from microg_bench.runs.prepare import Prepared, prepare
from microg_bench.runs.settings import Options
from microg_bench.runs.start import run_folders, start

_WHAT = "its checkpoint captions and answers about two sample clips"


class _Quiet:
    """Tells nobody."""

    def begin(self, what: str, total: int, done: int) -> None: ...

    def step(self) -> None: ...

    def failure(self, failure: Failure) -> None: ...

    def note(self, text: str) -> None: ...

    def confirm(self, estimate: Estimate) -> None: ...


def try_adapter(options: Options) -> Check:
    """Ask the model of `options` about two sample clips, and look at what it was shown and said."""
    try:
        prepared = prepare(options.model_copy(update={"data": "sample", "limit": 2}))
        with tempfile.TemporaryDirectory() as folder:
            return Check(_WHAT, _problem(prepared, Path(folder) / "run"))
    except MicrogError as error:
        return Check(_WHAT, str(error))


def _problem(prepared: Prepared, root: Path) -> str:
    paths = run_folders(prepared, root, several=True)
    start(prepared, paths, _Quiet())
    for task, path in paths.items():
        state = read_state(path)
        for failure in state.failures.values():
            return f"{task}: {failure.id} failed: {failure.reason}"
        counts = {len(answer.frames) for answer in state.answers.values()}
        if prepared.spec and prepared.spec.count and counts != {prepared.spec.count}:
            return f"{task}: {prepared.spec.count} frames were asked for, {sorted(counts)} were shown"
    return ""
