"""`python -m microg_bench.engines._serve_vllm FLAGS`: vLLM's server, which ends with who started it.

It holds the reading end of a pipe as its standard input; when that closes, its process group ends.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from importlib import import_module
from typing import Any

from microg_bench.torchvision_repair import ensure_torchvision, repaired_children

_END_S = 10.0


def main() -> None:
    """Repair torchvision where it must be, and become vLLM's server."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ensure_torchvision()
    platforms: Any = import_module("vllm.platforms")
    if platforms.current_platform.is_cpu():
        _prepare_cpu()
    with repaired_children():
        runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)


def _prepare_cpu() -> None:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    given = {word.partition("=")[0] for word in sys.argv}
    # A block is what the prefix cache keeps; the larger default would keep nothing of a short prompt.
    sys.argv += [] if "--block-size" in given else ["--block-size", "32"]
    sys.argv += [] if given & {"--enforce-eager", "--no-enforce-eager"} else ["--enforce-eager"]
    place = sys.argv.index("--dtype") + 1 if "--dtype" in sys.argv else 0
    if place and sys.argv[place] == "auto":
        sys.argv[place] = "float32"


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGTERM)
    time.sleep(_END_S)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
