"""Who is told of the progress of the site."""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Shows how far a stage is."""

    def begin(self, stage: str, total: int, done: int) -> None:
        """A stage of `total` steps begins."""

    def step(self) -> None:
        """One more is done."""
