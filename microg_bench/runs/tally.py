"""What one start of a run took: requests, tokens, and where its time went."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from microg_bench.records import Response


@dataclass
class Tally:
    """Counts while a run goes on.

    Its wall-clock time is told apart by the engine: `generating` while it has a request, `waiting` while it
    has none because no clip is ready. Tokens are those of requests that were asked, not shared.
    """

    clips: int = 0
    answers: int = 0
    shared: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    generating: float = 0.0
    waiting: float = 0.0
    _under_way: int = 0
    _since: float = field(default_factory=time.perf_counter)

    def opened(self) -> None:
        """A request is given to the engine."""
        if not self._under_way:
            self.waiting += self._lap()
        self._under_way += 1

    def closed(self) -> None:
        """A request has come back from the engine."""
        self._under_way -= 1
        if not self._under_way:
            self.generating += self._lap()

    def answered(self, response: Response) -> None:
        """Count an answer."""
        self.answers += 1
        if response.shared:
            self.shared += 1
            return
        self.prompt_tokens += response.prompt_tokens or 0
        self.cached_tokens += response.cached_tokens or 0
        self.output_tokens += response.output_tokens or 0

    def summary(self, decoding: float) -> dict[str, Any]:
        """The counts as run.json keeps them; `decoding` is the seconds spent in all decoders together."""
        if self._under_way:
            self.generating += self._lap()
        wall = self.generating + self.waiting
        return {
            "clips": self.clips,
            "answers": self.answers,
            "shared": self.shared,
            "failures": self.failures,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "output_tokens": self.output_tokens,
            "clips_per_second": round(self.clips / wall, 3) if wall else None,
            "seconds": {
                "generating": round(self.generating, 3),
                "waiting": round(self.waiting, 3),
                "decoding": round(decoding, 3),
            },
        }

    def _lap(self) -> float:
        now = time.perf_counter()
        passed, self._since = now - self._since, now
        return passed
