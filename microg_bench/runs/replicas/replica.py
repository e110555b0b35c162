"""What a replica is to its driver, and what the two tell each other, as lines of JSON."""

from abc import ABC, abstractmethod
from typing import Any

from microg_bench.records import Clip, Failure, Record, Request, Response, TaskName


class Setup(Record):
    """What a replica is made of: the options of each run variant, and the engine as ``module:Class``."""

    variants: tuple[dict[str, Any], ...]
    engine: str


class Order(Record):
    """Requests about one clip, by the number of their variant. Without a clip: answer what you have.

    `donor` is the clip that is shown in its place, where a variant does that.
    """

    clip: Clip | None = None
    donor: Clip | None = None
    requests: tuple[tuple[int, tuple[Request, ...]], ...] = ()


class Result(Record):
    """What became of a request: a response or a failure, and what was shown; see `Asked`."""

    variant: int
    request: str
    response: Response | None = None
    failure: Failure | None = None
    indices: tuple[int, ...] = ()
    cache_key: str | None = None
    clip_sha256: str | None = None


class Report(Record):
    """What a replica says, any of it.

    Attributes:
        identity: first, once: the `Configuration.identity` of each variant, as this replica finds it.
        provenance: once, when it is ready; see `Engine.provenance`.
        error: why it cannot start, or cannot go on; nothing follows.
        results: of requests.
        prompted: the first prompt of a variant and task, as a start of a run notes it.
        decoding: seconds of decoding so far, summed over its decoders.
        rejected: see `Engine.rejected`.
    """

    identity: tuple[dict[str, str | None], ...] = ()
    provenance: dict[str, str] | None = None
    error: str | None = None
    results: tuple[Result, ...] = ()
    prompted: tuple[int, TaskName, dict[str, Any]] | None = None
    decoding: float | None = None
    rejected: tuple[str, ...] = ()


class ReplicaLostError(Exception):
    """A replica has ended, or cannot go on; the text says why."""


class Replica(ABC):
    """A replica as its driver sees it; `name` and `place`, where it runs, are for messages."""

    name: str
    place: str = ""

    @property
    def label(self) -> str:
        """Its name and, where it is known, its place."""
        return f"{self.name} on {self.place}" if self.place else self.name

    @abstractmethod
    async def start(self, setup: Setup) -> None:
        """Start a process for it, which loads the model; returns when there is a place for it.

        Raises:
            ReplicaLostError: it cannot be started.
        """

    @abstractmethod
    async def give(self, order: Order) -> None:
        """Order something.

        Raises:
            ReplicaLostError: it has ended.
        """

    @abstractmethod
    async def report(self) -> Report:
        """What it says next: first its provenance, when it has loaded the model.

        Raises:
            ReplicaLostError: it has ended, or says that it cannot go on.
        """

    @abstractmethod
    async def close(self) -> None:
        """End it and all that it started; safe to call twice. It may be started again."""


def read_report(line: str | bytes) -> Report:
    """The report in a line of JSON.

    Raises:
        ReplicaLostError: it says that it cannot go on.
    """
    report = Report.model_validate_json(line)
    if report.error is not None:
        raise ReplicaLostError(report.error)
    return report
