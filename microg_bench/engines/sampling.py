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


def sampling(generation: Generation, ids: Sequence[str]) -> Any:
    """What `generate` must do to the scores of the requests `ids`: nothing at temperature 0 (greedy)."""
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    steps = LogitsProcessorList()
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
