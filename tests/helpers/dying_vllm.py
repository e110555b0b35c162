"""`python -m tests.helpers.dying_vllm CHECKPOINT`: vLLM, in its own processes, is killed with work under way.

Writes one JSON line: the outcomes before and after, the error that ended the answering, and which of the
processes are left.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import psutil

from microg_bench.engines import EngineOptions
from microg_bench.engines.vllm import VllmEngine
from microg_bench.errors import EngineError
from microg_bench.records import Generation
from tests.engines.conftest import job_of, stream_of


def of_vllm() -> list[psutil.Process]:
    """The processes that vLLM has started and not yet ended."""
    return [one for one in psutil.Process().children(recursive=True) if one.name().startswith("VLLM")]


async def outlive(engine: VllmEngine) -> dict[str, Any]:
    """Answer a short and two long jobs, and kill vLLM at the first answer."""
    jobs = [job_of(k, generation=Generation(max_tokens=1800 if k else 2)) for k in range(3)]
    outcomes, error = [], ""
    try:
        async for outcome in engine.answer(stream_of(jobs)):
            outcomes.append(outcome.model_dump())
            if len(outcomes) == 1:
                for process in of_vllm():
                    process.kill()
    except EngineError as died:
        error = str(died)
    return {"outcomes": outcomes, "error": error}


def main() -> None:
    engine = VllmEngine(EngineOptions(checkpoint=sys.argv[1]))
    engine.start()
    started = len(of_vllm())
    told = asyncio.run(outlive(engine))
    engine.close()
    sys.stdout.write(json.dumps({**told, "started": started, "left": len(of_vllm())}) + "\n")


if __name__ == "__main__":
    main()
