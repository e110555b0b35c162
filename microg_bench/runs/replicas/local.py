"""Replicas that are processes of this machine, each with GPUs of its own where there are any."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import IO, cast

from microg_bench.children import python_path
from microg_bench.errors import UsageError
from microg_bench.options import Options, flag
from microg_bench.runs.replicas.replica import Order, Replica, ReplicaLostError, Report, Setup, read_report
from microg_bench.text import first_line

MODULE = "microg_bench.runs.replicas.worker"
_END_S = 10.0  # what a process may take to end by itself


class LocalReplica(Replica):
    """A process. `devices` are the GPUs that it sees, as in CUDA_VISIBLE_DEVICES; None for all."""

    def __init__(self, name: str, devices: str | None = None, threads: int | None = None) -> None:
        self.name = name
        self._environment = {"PYTHONPATH": python_path()}
        if devices is not None:
            self._environment["CUDA_VISIBLE_DEVICES"] = devices
        if threads is not None and "OMP_NUM_THREADS" not in os.environ:
            self._environment["OMP_NUM_THREADS"] = str(threads)
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()

    async def start(self, setup: Setup) -> None:
        """Start the process; see `Replica`."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._lines = asyncio.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=os.environ | self._environment,
            start_new_session=True,  # Ctrl-C is for the driver, which ends the replicas itself
        )
        reader = partial(_read, self._process, self._lines, asyncio.get_running_loop())
        Thread(target=reader, name=self.name, daemon=True).start()
        self._write(setup.model_dump_json())

    async def give(self, order: Order) -> None:
        """Write to its standard input, which it reads at any time; see `Replica`."""
        self._write(order.model_dump_json(exclude_defaults=True))

    def _write(self, line: str) -> None:
        pipe = cast(IO[bytes], self._started().stdin)
        with suppress(OSError):  # it has ended: what it said before is read first
            pipe.write(line.encode() + b"\n")
            pipe.flush()

    async def report(self) -> Report:
        """Read from its standard output; see `Replica`."""
        line = await self._lines.get()
        if not line.endswith(b"\n"):
            raise ReplicaLostError(self._end())
        return read_report(line)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("a replica is started first")
        return self._process

    def _end(self) -> str:
        """How the process ended, with the last line that it said."""
        code = self._started().wait()
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f"its process ended ({how})" + (f": {first_line(lines[-1], 300)}" if lines else "")

    async def close(self) -> None:
        """End the process and all that it started; see `Replica`."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _END_S
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with suppress(OSError):
            cast(IO[bytes], process.stdin).close()
        self._said.close()


def _read(
    process: subprocess.Popen[bytes], lines: asyncio.Queue[bytes], loop: asyncio.AbstractEventLoop
) -> None:
    """Hand on what a process writes, and nothing at its end."""
    with cast(IO[bytes], process.stdout) as pipe, suppress(RuntimeError):  # of a loop that has ended
        for line in pipe:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, b"")


def local_replicas(options: Options) -> list[Replica]:
    """The replicas of a run on this machine, not started.

    Raises:
        UsageError: there are fewer GPUs than they need.
    """
    count, of_each = options.replicas, options.tensor_parallel_size * options.pipeline_parallel_size
    names = [f"replica {number}" for number in range(1, count + 1)]
    devices = visible_devices()
    if not devices:
        threads = max(1, len(os.sched_getaffinity(0)) // count)
        return [LocalReplica(name, threads=threads) for name in names]
    if count * of_each > len(devices):
        reason = f"{count} replicas of {of_each} GPUs each, but there are {len(devices)}: ask for fewer"
        raise UsageError(reason, item=flag("replicas"))
    groups = [devices[k * of_each : (k + 1) * of_each] for k in range(count)]
    return [LocalReplica(name, ",".join(own)) for name, own in zip(names, groups, strict=True)]


def visible_devices() -> list[str]:
    """The GPUs of this machine, as CUDA_VISIBLE_DEVICES names them; none where torch sees none."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [one.strip() for one in given.split(",") if one.strip()]
    try:
        import torch
    except ImportError:
        return []
    return [str(number) for number in range(torch.cuda.device_count())]
