"""A run that replicas of the stand-in engine answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Failure
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.execute import ask
from microg_bench.runs.record import RunRecord
from microg_bench.runs.start import Outcomes
from tests.helpers.datasets import make_dataset
from tests.helpers.runs import opened
from tests.helpers.stand_in import StandIn, environment, write_adapter

IDS = [f"{source}_{k:03}" for source in "abc" for k in range(4)]
Asking = Callable[..., "Asked"]


class Heard(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failures: list[Failure] = []
        self.steps = 0

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)

    def failure(self, failure: Failure) -> None:
        """Keep it."""
        self.failures.append(failure)

    def advance(self) -> None:
        """Count it."""
        self.steps += 1


class Asked:
    """A run that was asked: its records, what was heard, and the folder in which replicas left notes."""

    def __init__(self, root: Path, heard: Heard, outcomes: Outcomes | None) -> None:
        self.heard = heard
        self.outcomes = outcomes
        self.folder = root / "notes"
        self.records = {task: RunRecord.read(root / task) for task in ("caption", "vqa")}

    @property
    def texts(self) -> dict[str, str]:
        """The answers by the ids of their requests."""
        return {name: one.text for record in self.records.values() for name, one in record.answers.items()}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path)


@pytest.fixture
def configured(clips: Path, adapter: Path) -> Callable[..., Configuration]:
    """Makes the configuration of a run of the stand-in."""

    def make(**options: Any) -> Configuration:
        given = {"model": str(adapter), "data": str(clips), "num_workers": 1, "batch_size": 1, **options}
        return replace(configure(Options.of(given)), engine=StandIn)

    return make


@pytest.fixture
def asking(
    configured: Callable[..., Configuration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Asking:
    """Asks all with replicas of the stand-in, which does as it is wanted to."""

    def run(
        replicas: int = 2,
        root: Path = tmp_path / "run",
        options: dict[str, Any] | None = None,
        then: Callable[[], object] = lambda: None,
        **wanted: Any,
    ) -> Asked:
        root.mkdir(exist_ok=True)
        monkeypatch.setenv("STAND_IN", environment(root / "notes", **wanted))
        heard = Heard()
        one = configured(replicas=replicas, **(options or {}))
        with ExitStack() as stack:
            variant = stack.enter_context(opened(root, one))
            then()
            outcomes = asyncio.run(ask([variant], root, heard))
        return Asked(root, heard, outcomes)

    return run
