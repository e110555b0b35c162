"""`python -m microg_bench.engines.openai_compatible.serve_vllm FLAGS`: vLLM's server.

It ends with the process that started it: its standard input is the reading end of a pipe, and when that
closes, its process group ends.
"""

import os
import runpy
import signal
import sys
import threading
import time

from microg_bench.engines.vllm.arguments import CPU_ARGUMENTS, flags, prepare_cpu
from microg_bench.torchvision_repair import ensure_torchvision, repaired_children

_END_S = 10.0


def main() -> None:
    """Repair torchvision where it must be, and become vLLM's server."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ensure_torchvision()
    if prepare_cpu():
        sys.argv[1:1] = flags(CPU_ARGUMENTS)  # of a flag that is given twice the later one counts
    with repaired_children():
        runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGTERM)
    time.sleep(_END_S)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
