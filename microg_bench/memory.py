"""Runs a function over a batch in smaller parts where the memory of the device does not suffice."""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

from microg_bench.text import first_line

Item = TypeVar("Item")
Result = TypeVar("Result")


def halving(
    run: Callable[[Sequence[Item]], Sequence[Result]],
    items: Sequence[Item],
    size: int,
    too_large: Callable[[Item, str], Result],
) -> tuple[list[Result], int]:
    """Run `run` over `items` in batches of at most `size`, and halve `size` each time memory runs out.

    Args:
        run: gives one result an item, in order. It may be given the same items again.
        items: what to run it over.
        size: the largest batch to try, from 1.
        too_large: gives the result of an item that does not fit even alone, from the item and the first line
            of the error; it may raise.

    Returns:
        The results in the order of the items, and the size of the batches that fit.
    """
    results: list[Result] = []
    while len(results) < len(items):
        batch = items[len(results) : len(results) + size]
        found, said = _attempt(run, batch)
        if found is not None:
            results += found
        elif len(batch) == 1:
            results.append(too_large(batch[0], said))
        else:
            size = len(batch) // 2
    return results, size


def _attempt(
    run: Callable[[Sequence[Item]], Sequence[Result]], batch: Sequence[Item]
) -> tuple[Sequence[Result] | None, str]:
    """The results; or None and the first line of the error where memory ran out."""
    try:
        return run(batch), ""
    except Exception as error:
        if not out_of_memory(error):
            raise
        said = f"{type(error).__name__}: {first_line(error)}"
    # The traceback of the exception held tensors: only here, with both gone, can their memory be freed.
    release_memory()
    return None, said


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the memory of a device, or of the machine, does not suffice."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def release_memory() -> None:
    """Give the memory of tensors that nothing refers to back to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
