"""Sampling that is the same for a request whatever else is in its batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from microg_bench.records import Generation

if TYPE_CHECKING:
    import torch


class GumbelNoise:
    """Adds to each row of scores noise from a generator of its own.

    The largest of log p + Gumbel noise is distributed as p (the Gumbel-max trick), so greedy decoding on top
    of it is sampling. One generator a request, where `generate` has one for all rows, keeps an answer the
    same when the run is interrupted, or the batch size changes.
    """

    def __init__(self, seed: int, ids: Sequence[str]) -> None:
        import torch

        self._generators = [torch.Generator().manual_seed(row_seed(seed, name)) for name in ids]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`, shape (rows, tokens), with noise added; `input_ids` are not read."""
        import torch

        waits = [torch.empty(scores.shape[1]).exponential_(generator=own) for own in self._generators]
        return scores - torch.stack(waits).log().to(scores.device)


class WrittenLogprobs:
    """Keeps how probable each token is that is written, without changing any score.

    The token that is chosen of the scores of a step is known at the next step. Only the scores of one step
    are kept, since those of all would take gigabytes.
    """

    def __init__(self) -> None:
        self._steps: list[torch.Tensor] = []
        self._scores: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`, shape (rows, tokens), as they are; `input_ids` end with what was chosen last."""
        self._choose(input_ids[:, -1])
        self._scores = scores.float().log_softmax(dim=-1)
        return scores

    def of(self, rows: torch.Tensor) -> list[list[float]]:
        """The natural logarithm of the probability of each token in `rows`, shape (rows, steps)."""
        import torch

        self._choose(rows[:, -1])
        self._scores = None
        return [list(map(float, row)) for row in torch.stack(self._steps, dim=1).tolist()]

    def _choose(self, tokens: torch.Tensor) -> None:
        if self._scores is not None:
            self._steps.append(self._scores.gather(1, tokens[:, None].to(self._scores.device))[:, 0])


def sampling(generation: Generation, ids: Sequence[str], logprobs: WrittenLogprobs | None = None) -> Any:
    """What `generate` must do to the scores of the requests `ids`: nothing at temperature 0 (greedy).

    `logprobs` keeps what the scores say before anything is done to them.
    """
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    steps = LogitsProcessorList([logprobs] if logprobs else [])
    if generation.temperature > 0:
        steps.append(TemperatureLogitsWarper(float(generation.temperature)))
        if generation.top_p < 1:
            steps.append(TopPLogitsWarper(float(generation.top_p)))
        steps.append(GumbelNoise(generation.seed, ids))
    return steps


def row_seed(seed: int, name: str) -> int:
    """The seed of the request `name`, from 0 to 2⁶³ - 1."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
