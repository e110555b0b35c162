"""What an engine is that can leave prompts with its vendor and fetch the answers later, at half the price."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from microg_bench.engines.base import Engine, Job
from microg_bench.records import Failure, Response


@dataclass(frozen=True)
class BatchState:
    """How far a batch is; `ended` batches can be collected, whole or in part. `word` is the vendor's own."""

    ended: bool
    word: str
    answered: int | None = None
    total: int | None = None


class BatchEngine(Engine):
    """An engine with a batch interface, to be used once it was started; its methods may raise `EngineError`.

    A batch is known by the name that its vendor gives it. `token` is a name of ours that goes with it, so
    that a batch is found again whose name was lost on the way back. One batch holds at most `batch_items`
    requests and `batch_bytes` encoded bytes.
    """

    batch_items: ClassVar[int]
    batch_bytes: ClassVar[int]

    @abstractmethod
    def encoded(self, job: Job) -> bytes:
        """What is sent for `job`.

        Raises:
            ValueError: it cannot be sent; the text says why.
        """

    @abstractmethod
    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        """Send request ids with their encoded jobs; returns the batch's name."""

    @abstractmethod
    def find(self, token: str) -> str | None:
        """The name of the batch that was submitted with `token`; None where the vendor has none."""

    @abstractmethod
    def state(self, batch: str) -> BatchState:
        """Ask the vendor how far the batch is."""

    @abstractmethod
    def collect(self, batch: str) -> Iterator[Response | Failure]:
        """The outcomes of an ended batch, by request id, in any order; what it left out has none."""
