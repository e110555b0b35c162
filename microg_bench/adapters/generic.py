"""An adapter for any model that an engine knows by name: `ENGINE:NAME`, asked in the plain chat form.

It serves models that nobody has written an adapter for. What it assumes is all on the page of `Adapter`:
the frames, sampled uniformly, before the harness's own prompt, and the whole answer taken as it is.
"""

from __future__ import annotations

from typing import Any

from microg_bench.adapters.base import Adapter
from microg_bench.errors import UsageError

ENGINES = ("vllm", "transformers", "server", "openai", "gemini")


def is_generic(model: str) -> bool:
    """Whether `model` has the form `ENGINE:NAME` with an engine that asks models by name."""
    return model.partition(":")[0] in ENGINES and ":" in model


def generic(model: str) -> Adapter:
    """The adapter for `model`, e.g. ``openai:gpt-4o`` or ``vllm:ORG/CHECKPOINT``.

    Raises:
        UsageError: the name behind the colon is empty, or holds white space or control characters.
    """
    engine, _, name_there = model.partition(":")
    if not name_there or not name_there.isprintable() or any(sign.isspace() for sign in name_there):
        raise UsageError(f"--model {model!r}: give a name after the colon, e.g. {engine}:NAME")

    class Generic(Adapter):
        """The plain chat form."""

        name = model
        title = name_there
        checkpoint = name_there
        engines = (engine,)
        note = "no adapter of its own: frames before the harness's prompt, the whole answer taken as it is"

        def __reduce__(self) -> tuple[Any, ...]:
            return generic, (model,)

    return Generic()
