"""Who is told how a run goes."""

from __future__ import annotations

from typing import Protocol

from microg_bench.records import Failure
from microg_bench.runs.cost import Estimate


class Watcher(Protocol):
    """The command line's progress bar, or nobody."""

    def begin(self, what: str, total: int, done: int) -> None:
        """A stage of `total` steps begins, `done` of which an earlier start has taken."""

    def step(self) -> None:
        """One step was taken."""

    def failure(self, failure: Failure) -> None:
        """One request failed."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def confirm(self, estimate: Estimate) -> None:
        """Money is about to be spent; raise `UsageError` to stop it."""
