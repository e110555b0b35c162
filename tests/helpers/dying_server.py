"""`python -m tests.helpers.dying_server CHECKPOINT`: the vLLM server of engine `server` is killed under way.

Writes one JSON line: how many were answered and failed, the error, and how many of its processes are left.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import psutil

from microg_bench.engines.http.pool import RetryPolicy
from microg_bench.engines.openai_compatible.server import ServerEngine
from microg_bench.errors import EngineError
from microg_bench.options import Options
from microg_bench.records import Generation, Response
from tests.engines.conftest import job_of, stream_of


async def outlive(engine: ServerEngine, server: list[psutil.Process]) -> dict[str, Any]:
    """Answer a short and many long jobs, and kill the server at the first answer."""
    jobs = [job_of(k, generation=Generation(max_tokens=1500 if k else 2)) for k in range(12)]
    outcomes, error = [], ""
    try:
        async for answered in engine.answer(stream_of(jobs)):
            first = not outcomes
            outcomes += [outcome for _, outcome in answered]
            if first:
                for process in server:
                    process.kill()
    except EngineError as died:
        error = str(died)
    answered = sum(isinstance(outcome, Response) for outcome in outcomes)
    failed = len(outcomes) - answered
    distinct = len({outcome.id for outcome in outcomes})
    return {"answered": answered, "failed": failed, "distinct": distinct, "error": error}


def main() -> None:
    patience = RetryPolicy(initial_backoff=0.1, unreachable_pause=0.5)
    engine = ServerEngine(Options(checkpoint=sys.argv[1], serve=True), policy=patience)
    engine.start()
    server = psutil.Process().children(recursive=True)
    told = asyncio.run(outlive(engine, server))
    engine.close()
    left = len([process for process in server if process.is_running() and process.status() != "zombie"])
    for log in told["error"].split("(log: ")[1:]:
        Path(log.partition(")")[0]).unlink()
    sys.stdout.write(json.dumps({**told, "left": left}) + "\n")


if __name__ == "__main__":
    main()
