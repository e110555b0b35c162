"""Batches in as much memory as there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from microg_bench.memory import halving

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")


def device_of(size: int, sizes: list[int], error: Exception | None = None) -> Callable[..., list[int]]:
    """A function whose memory holds `size` items; `sizes` fills with what it was given."""

    def run(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        if len(items) > size:
            raise error or torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return [10 * item for item in items]

    return run


def refuse(item: int, said: str) -> int:
    raise ValueError(f"{item}: {said}")


def test_the_batch_is_halved_until_it_fits_and_stays_so() -> None:
    sizes: list[int] = []
    results, size = halving(device_of(20, sizes), range(100), 64, refuse)
    assert results == [10 * item for item in range(100)]
    assert sizes == [64, 32, 16, 16, 16, 16, 16, 16, 4]
    assert size == 16


def test_a_single_item_that_does_not_fit_has_the_result_of_its_own() -> None:
    results, size = halving(device_of(0, []), [1, 2], 2, lambda item, said: -item)
    assert (results, size) == ([-1, -2], 1)
    with pytest.raises(ValueError, match=r"^1: OutOfMemoryError: CUDA out of memory\.$"):
        halving(device_of(0, []), [1], 8, refuse)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")]
)
def test_the_memory_of_the_machine_counts_too(error: Exception) -> None:
    assert halving(device_of(1, [], error), [1, 2], 2, refuse) == ([10, 20], 1)


def test_any_other_error_is_raised_at_once() -> None:
    sizes: list[int] = []
    with pytest.raises(IndexError):
        halving(device_of(0, sizes, IndexError()), [1, 2], 2, refuse)
    assert sizes == [2]


def test_nothing_gives_nothing() -> None:
    assert halving(device_of(0, []), [], 4, refuse) == ([], 4)
