"""Decodes clips in worker processes, each of which one thread of this process waits for.

libav is native code that reads files from anywhere; a hang or crash there takes down its process. Here that
is a worker: the clip fails with a reason, and the next clip gets a new worker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any, cast

import numpy as np

from microg_bench.video.decode import MAX_BYTES, Frames
from microg_bench.video.sampling import Sampling
from microg_bench.video.source import refuse, too_slow

START_LIMIT_S = 60.0
MAX_POOL_BYTES = 8 * 1024**3  # of pixels that are decoded and not taken yet


class DecodePool:
    """Decodes clips in `workers` processes, which start at once; a context manager.

    A clip that takes longer than `limit_s` seconds, or whose decoder crashes, fails alone. Leaving the
    context ends all workers at once and cancels the clips that wait. `seconds` is the time that the workers
    have spent decoding, summed over them.

    The caller has at most `ahead` clips submitted and not taken. Each may have its share of 8 GiB of pixels,
    and 4 GiB at most.
    """

    def __init__(self, workers: int = 2, limit_s: float = 60.0) -> None:
        self.workers = workers
        self.ahead = 2 * workers
        self._limit_s = limit_s
        self._max_bytes = min(MAX_BYTES, MAX_POOL_BYTES // self.ahead)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._closed = False
        self.seconds = 0.0
        for _ in range(workers):  # they start while the caller still loads a model
            self._threads.submit(self._worker)

    def submit(self, path: str | os.PathLike[str], spec: Sampling) -> Future[Frames]:
        """Queue a clip. The future gives its `Frames`, or raises `DecodeError`."""
        return self._threads.submit(self._decode, Path(path), spec)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that are alive, in ascending order."""
        with self._lock:
            return tuple(sorted(worker.pid for worker in self._workers))

    def close(self) -> None:
        """Kill the workers and cancel the clips that wait; one being decoded raises `CancelledError`."""
        with self._lock:
            self._closed = True
            workers = tuple(self._workers)
        for worker in workers:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in workers:
            self._discard(worker)

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decode(self, path: Path, spec: Sampling) -> Frames:
        worker = self._worker()
        start = time.perf_counter()
        try:
            return worker.decode(path, spec, self._limit_s, self._max_bytes)
        except _WorkerEndedError as ended:
            self._discard(worker)
            if self._closed:
                raise CancelledError from None
            if ended.timed_out:
                raise too_slow(path, self._limit_s) from None
            raise refuse(path, f"the decoder ended ({ended})") from None
        finally:
            with self._lock:
                self.seconds += time.perf_counter() - start

    def _worker(self) -> _Worker:
        """The worker of the calling thread, a new one where there is none or it died while idle."""
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is not None and worker.alive:
            return worker
        if worker is not None:
            self._discard(worker)
        with self._lock:
            if self._closed:
                raise CancelledError
            self._own.worker = worker = _Worker()
            self._workers.add(worker)
        try:
            worker.wait_ready(START_LIMIT_S)
        except _WorkerEndedError as ended:
            if self._closed:
                raise CancelledError from None
            raise RuntimeError(f"the decoding process does not start ({ended})") from None
        return worker

    def _discard(self, worker: _Worker) -> None:
        worker.close()
        with self._lock:
            self._workers.discard(worker)


class _WorkerEndedError(Exception):
    """A worker process ended before its reply was complete; the text says how."""

    def __init__(self, code: int, timed_out: bool) -> None:
        super().__init__(signal.Signals(-code).name if code < 0 else f"exit status {code}")
        self.timed_out = timed_out


class _Worker:
    """One worker process and its pipes, used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "microg_bench.video.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the parent, which ends the workers itself. A session of its own would do, too, but
            # Linux shares the processor by sessions first: a worker's would get as much as the model's.
            process_group=0,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        self._requests = cast(BufferedWriter, self._process.stdin)
        self._replies = cast(BufferedReader, self._process.stdout)
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End the process and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._replies.close()
        with suppress(OSError):
            self._requests.close()

    def wait_ready(self, limit_s: float) -> None:
        with self._limited(limit_s):
            self._header()

    def decode(self, path: Path, spec: Sampling, limit_s: float, max_bytes: int) -> Frames:
        limits = {"limit_s": limit_s, "max_bytes": max_bytes}
        request = {"path": str(path.absolute()), "spec": spec.model_dump(), **limits}
        with self._limited(limit_s):
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            header = self._header()
            if "error" in header:
                raise refuse(path, header["error"])
            pixels = np.empty(header.pop("shape"), np.uint8)
            if self._replies.readinto(pixels.data.cast("B")) < pixels.nbytes:
                raise EOFError
        lists: dict[str, Any] = {name: tuple(header.pop(name)) for name in ("indices", "timestamps")}
        return Frames(pixels, **lists, **header)

    def _header(self) -> dict[str, Any]:
        line = self._replies.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        header: dict[str, Any] = json.loads(line)
        return header

    @contextmanager
    def _limited(self, limit_s: float) -> Iterator[None]:
        """Kill the process if the block takes longer; raise `_WorkerEndedError` if it ends for any reason."""
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            self._process.kill()
            self._process.wait()

        timer = threading.Timer(limit_s, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (EOFError, OSError):
            raise _WorkerEndedError(self._process.wait(), timed_out.is_set()) from None
        finally:
            timer.cancel()
            timer.join()
