"""Starts a vLLM server on this machine, and ends it in any case.

The server is a process group of its own, on loopback. It holds the end of a pipe whose other end is here:
where this process is killed, the pipe closes and the server ends itself.
"""

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
from typing import IO

from microg_bench.children import python_path
from microg_bench.engines.checkpoint import locate
from microg_bench.engines.vllm.arguments import COMPACT_JSON, arguments, flags
from microg_bench.errors import EngineError, MissingExtraError
from microg_bench.options import Options

MODULE = "microg_bench.engines.openai_compatible.serve_vllm"
_HOST = "127.0.0.1"
_READY_S = 3600.0  # a large checkpoint may have to be downloaded first
_END_S = 10.0  # what the server may take to end by itself
_LAST_LINES = 5
_FAULT = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception): .*|\berror: .*")


class LocalServer:
    """One vLLM server, of `version`. `start` it once; `close` may be called at any time, and twice."""

    def __init__(self, options: Options) -> None:
        self.version = "unknown"
        self.commit: str | None = None
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        self._report: str | None = None

    def start(self) -> str:
        """Start and wait until it answers; returns the address of its interface.

        Raises:
            EngineError: the checkpoint or the port cannot be used, or the server ended.
            MissingExtraError: vLLM is not installed.
        """
        if find_spec("vllm") is None:
            raise MissingExtraError("--serve", "vllm", "no module vllm")
        checkpoint = locate(self._options.checkpoint, self._options.revision)
        port = _free_port(self._options.port)
        self.commit = checkpoint.commit
        options = self._options.model_copy(update={"revision": checkpoint.revision})
        self._process = subprocess.Popen(
            _command(options, port),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=os.environ | _environment(checkpoint.offline),
            start_new_session=True,
        )
        self._wait(port)
        return f"http://{_HOST}:{port}/v1"

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if (report := self.exit_report()) is not None:
                raise EngineError(report)
            if _get(port, "/v1/models") is not None:
                with suppress(ValueError, KeyError, TypeError):
                    self.version = str(json.loads(_get(port, "/version") or b"")["version"])
                return
            time.sleep(0.2)
        raise EngineError(f"the server was not ready within {_READY_S / 60:.0f} minutes")

    def exit_report(self) -> str | None:
        """Why the server ended, with the end of its log, which is kept; None while it runs."""
        if self._report is None and self._process is not None and self._process.poll() is not None:
            self._report = self._write_report(self._process.returncode)
        return self._report

    def _write_report(self, status: int) -> str:
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")
        handle, kept = tempfile.mkstemp(prefix="microg-bench-server-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(said)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        killed = [f"it was killed by {signal.Signals(-status).name}"] if status < 0 else []
        told = next(iter(killed or _FAULT.findall(said) or lines[-1:]), "it said nothing")
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
        self._log.close()


def _command(options: Options, port: int) -> list[str]:
    """The command line of vLLM's server; what `options` give counts over what is chosen here."""
    chosen = {
        "host": _HOST,
        "port": port,
        "served_model_name": options.checkpoint,
        "generation_config": "vllm",  # the run's settings count, not the checkpoint's
        "enable_prompt_tokens_details": True,  # or it would not tell how many came from its cache
        "trust_request_mm_kwargs": True,  # the true times of frames go with each request
        **COMPACT_JSON,
    }
    return [sys.executable, "-m", MODULE, *flags(chosen | arguments(options))]


def _environment(offline: bool) -> dict[str, str]:
    """What the server needs to find this package, and to keep to itself."""
    kept = {"PYTHONPATH": python_path(), "VLLM_NO_USAGE_STATS": "1"}
    return kept | ({"HF_HUB_OFFLINE": "1"} if offline else {})


def _free_port(wanted: int | None) -> int:
    """A port that nobody listens on, the wanted one if any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, wanted or 0))
        except OSError as error:
            reason = f"port {wanted} cannot be used: {error.strerror}: choose another --port"
            raise EngineError(reason) from None
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
    """Whether any process of its group still runs."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
