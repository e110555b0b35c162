"""Starts a vLLM server on this machine, and ends it, whatever happens in between.

The server is a process group of its own, on loopback. It holds the end of a pipe whose other end is here:
where this process is killed, the pipe closes and the server ends itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from microg_bench.engines._checkpoint import locate
from microg_bench.engines._vllm_arguments import check_own
from microg_bench.engines.base import EngineOptions
from microg_bench.errors import EngineError, MissingExtraError

MODULE = "microg_bench.engines._serve_vllm"
_HOST = "127.0.0.1"
_READY_S = 3600.0  # a large checkpoint may have to be downloaded first
_END_S = 10.0  # what the server may take to end by itself
_LAST_LINES = 5
_FAULT = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception): .*|\berror: .*")


class LocalServer:
    """One vLLM server, of `version`. `start` it once; `close` may be called at any time, and twice."""

    def __init__(self, options: EngineOptions) -> None:
        self.version = "unknown"
        self.commit: str | None = None
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._why: str | None = None

    def start(self) -> str:
        """Start and wait until it answers; returns the address of its interface.

        Raises:
            EngineError: the checkpoint or the port cannot be used, or the server ended.
            MissingExtraError: vLLM is not installed.
            UsageError: an engine argument goes by another name here.
        """
        if find_spec("vllm") is None:
            raise MissingExtraError("--serve", "vllm", "no module vllm")
        check_own(self._options)
        checkpoint = locate(self._options.checkpoint, self._options.revision)
        port = _free_port(self._options.port)
        self.commit = checkpoint.commit
        options = self._options.model_copy(update={"revision": checkpoint.revision})
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE, *_flags(options, port)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONPATH": _path(),
                "VLLM_NO_USAGE_STATS": "1",
                **_offline(checkpoint.offline),
            },
            start_new_session=True,
        )
        self._wait(port)
        return f"http://{_HOST}:{port}/v1"

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if (why := self.ended()) is not None:
                raise EngineError(why)
            if _get(port, "/v1/models") is not None:
                with suppress(ValueError, KeyError, TypeError):
                    self.version = str(json.loads(_get(port, "/version") or b"")["version"])
                return
            time.sleep(0.2)
        raise EngineError(f"the server was not ready within {_READY_S / 60:.0f} minutes")

    def ended(self) -> str | None:
        """Why the server is no more, with the end of its log, which is kept; None while it runs."""
        if self._why is None and self._process is not None and self._process.poll() is not None:
            self._why = self._farewell(self._process.returncode)
        return self._why

    def _farewell(self, status: int) -> str:
        said = ""
        if self._log is not None:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace")
        handle, kept = tempfile.mkstemp(prefix="microg-bench-server-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(said)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        told = next(iter(_FAULT.findall(said) or lines[-1:]), "it said nothing")
        tail = "".join(f"\n  {line[:300]}" for line in lines[-_LAST_LINES:])
        return f"the server that was started here ended (status {status}): {told[:300]} (log: {kept}){tail}"

    def close(self) -> None:
        """End the server with all its processes."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            _signal(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + _END_S
            while _alive(process) and time.monotonic() < deadline:
                time.sleep(0.05)
            _signal(process.pid, signal.SIGKILL)
            process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None


def _flags(options: EngineOptions, port: int) -> list[str]:
    """The command line of vLLM's server."""
    chosen: dict[str, Any] = {
        "model": options.checkpoint,
        "served-model-name": options.checkpoint,
        "host": _HOST,
        "port": port,
        "revision": options.revision,
        "trust-remote-code": options.trust_remote_code or None,
        "dtype": options.dtype,
        "max-model-len": options.max_length,
        "max-num-seqs": options.at_once,
        "tensor-parallel-size": options.tensor_parallel,
        "pipeline-parallel-size": options.pipeline_parallel,
        "data-parallel-size": options.data_parallel,
        "gpu-memory-utilization": options.gpu_memory,
        "quantization": options.quantization,
        "generation-config": "vllm",  # the run's settings count, not the checkpoint's
        "enable-prompt-tokens-details": True,  # or it would not tell how many came from its cache
        "trust-request-mm-kwargs": True,  # the true times of frames go with each request
        **{name.replace("_", "-"): value for name, value in options.engine_args.items()},
    }
    return [word for name, value in chosen.items() for word in _flag(name, value)]


def _flag(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, (list, tuple)):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}", json.dumps(value) if isinstance(value, dict) else str(value)]


def _path() -> str:
    """Where Python finds this package in the server, too."""
    package = Path(__file__).parents[2]
    return os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])


def _offline(offline: bool) -> dict[str, str]:
    return {"HF_HUB_OFFLINE": "1"} if offline else {}


def _free_port(wanted: int | None) -> int:
    """A port that nobody listens on.

    Raises:
        EngineError: the wanted one is in use or may not be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, wanted or 0))
        except OSError as error:
            raise EngineError(
                f"port {wanted} cannot be used: {error.strerror}: choose another --port"
            ) from None
        return int(probe.getsockname()[1])


def _get(port: int, path: str) -> bytes | None:
    """What the server says at `path`; None where it says nothing."""
    local = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with local.open(f"http://{_HOST}:{port}{path}", timeout=5) as response:
            said: bytes = response.read()
            return said
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _alive(process: subprocess.Popen[bytes]) -> bool:
    """If any process of its group still runs."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
