"""Running an encoder over many texts: those of like length together, in less memory where it runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.encoders import first_line

Vector = TypeVar("Vector")

BF16_NOTE = "encoder run in bfloat16"

_BATCH = 64


def in_batches(
    lengths: Sequence[int], run: Callable[[Sequence[int]], Sequence[Vector]], folder: Path
) -> list[Vector]:
    """Run an encoder over texts, those of like length together, the longest first.

    Where the device runs out of memory, the batch is halved from there on.

    Args:
        lengths: how long each text is, in any unit.
        run: embeds the texts at some places, one answer a place.
        folder: the encoder's, for messages.

    Returns:
        The answers in the order of the texts.

    Raises:
        MetricUnavailableError: a single text does not fit, or the encoder fails otherwise.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    answers: dict[int, Vector] = {}
    size = _BATCH
    while len(answers) < len(order):
        places = order[len(answers) : len(answers) + size]
        found = _unless_out_of_memory(run, places, folder)
        if found is not None:
            answers.update(zip(places, found, strict=True))
        elif len(places) == 1:
            raise MetricUnavailableError(
                f"encoder {folder} runs out of memory on a single text: choose another --device"
            )
        else:
            size = len(places) // 2
    return [answers[place] for place in range(len(lengths))]


def _unless_out_of_memory(
    run: Callable[[Sequence[int]], Sequence[Vector]], places: Sequence[int], folder: Path
) -> Sequence[Vector] | None:
    import torch

    try:
        return run(places)
    except torch.cuda.OutOfMemoryError:
        pass
    # A folder whose parts do not fit together makes the libraries raise anything from IndexError on.
    except Exception as error:
        raise MetricUnavailableError(f"encoder {folder} cannot be run: {first_line(error)}") from error
    torch.cuda.empty_cache()
    return None


def precision(device: str, bf16: bool) -> AbstractContextManager[object]:
    """The arithmetic of an encoder: float32, or bfloat16 where torch deems it safe."""
    import torch

    return torch.autocast(device, torch.bfloat16) if bf16 else nullcontext()
