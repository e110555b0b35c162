"""Settings and child processes for tests of runs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation
from microg_bench.runs.settings import Settings


class Plain(Adapter):
    """An adapter that changes nothing."""

    name = "plain"
    title = "Plain"


def make_settings(**changed: Any) -> Settings:
    """Settings of a run of captions, with what the test wants otherwise."""
    values: dict[str, Any] = {
        "task": "caption",
        "model": "m",
        "title": "M",
        "adapter_sha256": "0" * 64,
        "checkpoint": None,
        "revision": None,
        "engine": "function",
        "dtype": "auto",
        "attention": None,
        "frames": "uniform:8",
        "prompt": "p@1",
        "generation": Generation(max_tokens=8),
        "dataset": "d",
        "fingerprint": "f",
        "clips": None,
    }
    return Settings.model_validate({**values, **changed})


def start_bench(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start `microg-bench` and do not wait for it."""
    command = [sys.executable, "-m", "microg_bench", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str], pause: float = 0.005) -> None:
    """Wait for something that a running process will bring about, for at most a minute."""
    deadline = time.monotonic() + 60
    while not true() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(pause)
