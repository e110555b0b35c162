"""`python -m tests.helpers.dying_vllm CHECKPOINT killed|interrupted`: vLLM is ended with work under way.

Its processes are killed, or the whole group of processes is interrupted, as by Ctrl-C on a terminal; start
this in a session of its own. Writes one JSON line: the outcomes before and after, the error that ended the
answering, and how many of the processes were there and are left.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import psutil

from microg_bench.engines.vllm.engine import VllmEngine
from microg_bench.errors import EngineError
from microg_bench.options import Options
from microg_bench.records import Generation
from tests.engines.conftest import job_of, stream_of


def of_vllm() -> list[psutil.Process]:
    """The processes that vLLM has started and not yet ended."""
    return [one for one in psutil.Process().children(recursive=True) if one.name().startswith("VLLM")]


def kill() -> None:
    for process in of_vllm():
        process.kill()


def interrupt() -> None:
    os.killpg(0, signal.SIGINT)


async def outlive(engine: VllmEngine, end: Callable[[], None], outcomes: list[dict[str, Any]]) -> None:
    """Answer a short and two long jobs, and end vLLM at the first answer."""
    jobs = [job_of(k, generation=Generation(max_tokens=1800 if k else 2)) for k in range(3)]
    async for answered in engine.answer(stream_of(jobs)):
        first = not outcomes
        outcomes += [outcome.model_dump() for _, outcome in answered]
        if first:
            end()
    if end is interrupt:
        await asyncio.sleep(60)  # a slow machine may give all answers at once: it is interrupted here


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    engine = VllmEngine(Options(checkpoint=sys.argv[1]))
    engine.start()
    started = len(of_vllm())
    outcomes: list[dict[str, Any]] = []
    error = ""
    try:
        asyncio.run(outlive(engine, {"killed": kill, "interrupted": interrupt}[sys.argv[2]], outcomes))
    except (EngineError, KeyboardInterrupt) as ended:
        error = f"{type(ended).__name__}: {ended}"
    engine.close()
    _, left = psutil.wait_procs(of_vllm(), timeout=10)
    told = {"outcomes": outcomes, "error": error, "started": started, "left": len(left)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
