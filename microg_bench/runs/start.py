"""One start of a run: with what it was made, and what it took."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import microg_bench
from microg_bench.adapters.registry import is_generic
from microg_bench.children import PACKAGE
from microg_bench.errors import RunError
from microg_bench.options import flag
from microg_bench.privacy import without_private
from microg_bench.records import REJECTABLE, Failure, Prompt, Request, Response
from microg_bench.text import many, one_line

if TYPE_CHECKING:
    from microg_bench.adapters.base import Adapter
    from microg_bench.engines.base import Engine
    from microg_bench.runs.record import RunRecord
    from microg_bench.video.decode import Frames

PAGE_FILE = "page.html"  # in the folder of the runs of a start, which it tells of
SHORT_S = 5.0  # of a start that is too short to tell what limited it
BUSY = 0.8  # share of the time from which decoders or engine limit a start
PACKAGES = ("av", "numpy", "torch", "torchvision", "transformers", "accelerate", "vllm")


def provenance() -> dict[str, Any]:
    """Versions of what moves an answer, the git revision of a checkout, and when the run was started.

    Nothing in it names a person or a machine.
    """
    versions = {"microg-bench": microg_bench.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"started": started, "git": _git_revision(), "versions": versions}


@cache
def package_sha256() -> str:
    """What this package is made of: two checkouts of one version may differ."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def prompted(request: Request, prompt: Prompt, frames: Frames | None = None) -> dict[str, Any]:
    """One of the requests that a start asks, the SHA-256 of its prompt, and the size of its frames.

    The frames are those that the engine gets, `fps` of each second of the clip.
    """
    told = {"id": request.id, "sha256": hashlib.sha256(prompt.model_dump_json().encode()).hexdigest()}
    if frames is None:
        return told
    count, height, width, _ = frames.pixels.shape
    fps = round(count / frames.duration, 3) if frames.duration else None
    return {**told, "frames": count, "width": width, "height": height, "fps": fps}


def _git_revision() -> str | None:
    """The commit of the checkout that this package is imported from, `-dirty` where files differ from it."""
    root = Path(microg_bench.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def note_engine(record: RunRecord, told: Mapping[str, str]) -> None:
    """Note in a run what the engine tells of itself.

    Raises:
        RunError: the answers so far are of another commit of the checkpoint; or run.json cannot be written.
    """
    before, now = record.engine.get("commit"), told.get("commit")
    if record.answers and None not in (before, now) and before != now:
        reason = f"its answers are of commit {before} of {record.settings.checkpoint}, which is {now} here"
        raise RunError(f"{reason}: start another run, with --revision to keep a commit", path=record.path)
    record.note(engine=dict(told))


async def note_started(
    records: Sequence[RunRecord], engine: Engine, told: Mapping[str, str], *, alone: bool
) -> None:
    """Note in runs what their engine has `told` of itself, and the hardware where the weights are here.

    The times of variants that share an engine overlap: the hardware is noted of one that is `alone`.

    Raises:
        RunError: see `note_engine`.
    """
    for record in records:
        note_engine(record, told)
    if not alone or (gpus := await engine.gpus()) is None:
        return
    from microg_bench.hardware import hardware

    found = hardware(gpus).model_dump(mode="json")
    for record in records:
        record.note(hardware=found)


@dataclass
class Usage:
    """Requests, tokens and time of one start, counted while it runs.

    From `begin` on, its wall-clock time is divided by the engine: `generating` while it has a request,
    `waiting` while it has none because no clip is ready. `decoding` are seconds of decoding, summed over
    `decoders` processes; those before `begin` count, too. Tokens are those of requests that were asked, not
    answered from the cache; `cached_tokens` is None where no response tells of a prefix cache.
    """

    clips: int = 0
    answers: int = 0
    from_cache: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    output_tokens: int = 0
    generating: float = 0.0
    waiting: float = 0.0
    decoding: float = 0.0
    decoders: int = 0
    _in_flight: int = 0
    _since: float = field(default_factory=time.perf_counter)

    def begin(self) -> None:
        """The engine is ready."""
        self._lap()

    def opened(self) -> None:
        """A request is given to the engine."""
        if not self._in_flight:
            self.waiting += self._lap()
        self._in_flight += 1

    def closed(self) -> None:
        """A request has come back from the engine."""
        self._in_flight -= 1
        if not self._in_flight:
            self.generating += self._lap()

    def count(self, found: Response | Failure) -> None:
        """Count an answer or a failure."""
        self.failures += isinstance(found, Failure)
        self.answers += isinstance(found, Response)
        said = found.response if isinstance(found, Failure) else found
        if said is None:
            return
        self.from_cache += said.from_cache
        if not said.from_cache:
            self.prompt_tokens += said.prompt_tokens or 0
            if said.cached_tokens is not None:
                self.cached_tokens = (self.cached_tokens or 0) + said.cached_tokens
            self.output_tokens += said.output_tokens or 0

    @property
    def clips_per_second(self) -> float | None:
        """Clips a second of wall-clock time, None where no time passed."""
        wall = self.generating + self.waiting
        return round(self.clips / wall, 3) if wall else None

    @property
    def limit(self) -> str | None:
        """What limited the start, in words; None where it was too short to tell, or nothing did clearly."""
        wall = self.generating + self.waiting
        if wall < SHORT_S or not self.decoders:
            return None
        if self.decoding > BUSY * self.decoders * wall:
            return f"decoding was the limit: {self.clips_per_second:.2f} clips/s; raise {flag('num_workers')}"
        if self.generating > BUSY * wall:
            return f"the engine was the limit: {self.clips_per_second:.2f} clips/s"
        return None

    def to_json(self) -> dict[str, Any]:
        """The counts as run.json keeps them."""
        if self._in_flight:
            self.generating += self._lap()
        counts = ["clips", "answers", "from_cache", "failures"]
        counts += ["prompt_tokens", "output_tokens", "clips_per_second"]
        seconds = ("generating", "waiting", "decoding")
        return {
            **{name: getattr(self, name) for name in counts},
            "cached_tokens": self.cached_tokens or 0,
            "seconds": {name: round(getattr(self, name), 3) for name in seconds},
        }

    def lines(self) -> list[str]:
        """The counts in words."""
        lines = [f"{self.answers} answered, {self.failures} failed"]
        if self.from_cache:
            lines[0] += f"; {many(self.from_cache, 'answer')} came from the cache"
        if self.answers > self.from_cache and self.prompt_tokens:
            told = self.cached_tokens
            cached = "" if told is None else f" ({told / self.prompt_tokens:.0%} from the prefix cache)"
            lines.append(
                f"tokens: {self.prompt_tokens:,} in prompts{cached}, {self.output_tokens:,} generated"
            )
        lines.append(
            f"time: {self.generating:.1f} s generating, {self.waiting:.1f} s waiting for clips; "
            f"{self.decoding:.1f} s of decoding in parallel; {self.clips_per_second or 0:.2f} clips/s"
        )
        return [*lines, *filter(None, [self.limit])]

    def _lap(self) -> float:
        now = time.perf_counter()
        passed, self._since = now - self._since, now
        return passed


@dataclass(frozen=True)
class Outcomes:
    """What a start came to.

    `recorded` are the runs in which something is recorded. `asked` tells whether there was anything to ask.
    `pending` requests are left in the vendor's batch interface, `failed` ones have no answer; `dollars` have
    been spent by all starts, None where no price is known; `exhausted` is set where the cost limit stopped
    the start.
    """

    recorded: tuple[RunRecord, ...] = ()
    asked: bool = False
    pending: int = 0
    failed: int = 0
    dollars: float | None = None
    exhausted: bool = False


_PATH = re.compile(r"[/\\~]|\.\.?[/\\]|[A-Za-z]:[/\\]")


def model_title(adapter: Adapter, checkpoint: str | None, revision: str | None, sha256: str | None) -> str:
    """The title of a model: the adapter's, with the checkpoint where that is another than the adapter's.

    Of a path only the last part is told. `sha256` identifies the content of a local folder.
    """
    own, name = checkpoint in (None, adapter.checkpoint), checkpoint or ""
    if sha256:
        folder = Path(name).expanduser()
        name = folder.name if folder.name not in ("", "..") else folder.resolve().name
        told = f"{name}, {sha256[:8]}"
    elif _PATH.match(name):
        told = name = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    elif own:
        told = "" if revision in (None, adapter.revision) else f"{name}@{revision}"
    else:
        told = without_private(name)
    if own and told and is_generic(adapter.name):
        return one_line(name)
    return one_line(f"{adapter.title} ({told})") if told else adapter.title


def note_rejected(record: RunRecord, engine: Engine) -> None:
    """Note at once what the model rejects, so that run.json is right though the process is killed."""
    rejected = rejected_of(engine)
    if record.starts[-1].get("rejected", []) != rejected:
        record.note(rejected=rejected)


def rejected_of(engine: Engine) -> list[str]:
    """The settings that the model of `engine` rejects, in the order in which they are named."""
    return [name for name in REJECTABLE if name in engine.rejected]
