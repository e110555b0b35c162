"""Clips decoded in worker processes: a worker that hangs or dies costs its own clip and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from microg_bench.errors import DecodeError
from microg_bench.video import pool as pools
from microg_bench.video.decode import Frames, decode
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FrameSpec
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.slow

SPEC = FrameSpec(count=4)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pool")
    return [write_clip(folder / f"{n}.mp4", frames=6 + n, size=(96, 64)) for n in range(6)]


@pytest.fixture
def single() -> Iterator[DecodePool]:
    """A pool whose one worker is up."""
    with DecodePool(workers=1, limit_s=1.0) as pool:
        pool.submit("/", SPEC).exception(timeout=60)
        assert len(pool.pids) == 1
        yield pool


def wait_until(true: Callable[[], bool], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether the process has ended, reaped or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def same(left: Frames, right: Frames) -> bool:
    facts = [{**vars(frames), "pixels": None} for frames in (left, right)]
    return facts[0] == facts[1] and np.array_equal(left.pixels, right.pixels)


def test_a_pool_gives_what_decode_gives_for_every_clip(clips: list[Path]) -> None:
    with DecodePool(workers=2) as pool:
        futures = {clip: pool.submit(clip, SPEC) for clip in clips}
        assert all(same(future.result(60), decode(clip, SPEC)) for clip, future in futures.items())
        assert len(pool.pids) == 2


def test_the_workers_start_before_there_is_work() -> None:
    with DecodePool(workers=2) as pool:
        wait_until(lambda: len(pool.pids) == 2)


def test_the_order_of_submission_changes_nothing(clips: list[Path]) -> None:
    with DecodePool(workers=2) as pool:
        backwards = [pool.submit(clip, SPEC) for clip in reversed(clips)]
        results = [future.result(60) for future in reversed(backwards)]
    assert [frames.total for frames in results] == [6, 7, 8, 9, 10, 11]


def test_frames_from_a_pool_can_be_written_to(clips: list[Path]) -> None:
    with DecodePool(workers=1) as pool:
        pixels = pool.submit(clips[0], FrameSpec(how="all")).result(60).pixels
    pixels[:] = 7
    assert pixels.flags.c_contiguous and pixels.sum() == 7 * pixels.size


def test_a_relative_path_is_found(clips: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with DecodePool(workers=1) as pool:
        pool.submit(clips[0], SPEC).result(60)
        monkeypatch.chdir(clips[0].parent)
        assert pool.submit(clips[1].name, SPEC).result(60).total == 7


def test_a_broken_clip_fails_alone_and_keeps_its_worker(clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with DecodePool(workers=1) as pool:
        good, bad, after = (pool.submit(p, SPEC) for p in (clips[0], tmp_path / "broken.mp4", clips[1]))
        assert good.result(60).total == 6
        pids = pool.pids
        with pytest.raises(DecodeError, match=r"^broken\.mp4: is not a readable"):
            bad.result(60)
        assert after.result(60).total == 7
        assert pool.pids == pids


def test_a_hanging_worker_is_cut_off_and_replaced(single: DecodePool, clips: list[Path]) -> None:
    (stuck,) = single.pids
    os.kill(stuck, signal.SIGSTOP)
    hanging, after = single.submit(clips[0], SPEC), single.submit(clips[1], SPEC)
    with pytest.raises(DecodeError, match=r"^0\.mp4: decoding took longer than 1 s$"):
        hanging.result(60)
    assert gone(stuck)
    assert after.result(60).total == 7
    assert stuck not in single.pids


def test_a_worker_that_dies_at_work_fails_its_clip_and_is_replaced(
    single: DecodePool, clips: list[Path]
) -> None:
    (doomed,) = single.pids
    os.kill(doomed, signal.SIGSTOP)
    dying, after = single.submit(clips[0], SPEC), single.submit(clips[1], SPEC)
    wait_until(dying.running)
    os.kill(doomed, signal.SIGSEGV)
    os.kill(doomed, signal.SIGCONT)
    with pytest.raises(DecodeError, match=r"^0\.mp4: the decoder ended \(SIGSEGV\)$"):
        dying.result(60)
    assert after.result(60).total == 7
    assert doomed not in single.pids


def test_a_worker_that_died_while_idle_costs_no_clip(single: DecodePool, clips: list[Path]) -> None:
    (idle,) = single.pids
    os.kill(idle, signal.SIGKILL)
    wait_until(lambda: gone(idle))
    assert single.submit(clips[0], SPEC).result(60).total == 6


def both_work(pool: DecodePool, clips: list[Path]) -> bool:
    """Decode all clips; whether two were decoded at a time, so that both workers have started."""
    futures = [pool.submit(clip, SPEC) for clip in clips]
    together = False
    while not all(future.done() for future in futures):
        together = together or sum(future.running() for future in futures) == 2
    return together


def test_close_ends_all_workers_and_cancels_what_waits(clips: list[Path]) -> None:
    with DecodePool(workers=2, limit_s=60) as pool:
        wait_until(lambda: both_work(pool, clips), 60)
        pids = pool.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        waiting = [pool.submit(clips[0], SPEC) for _ in range(8)]
        wait_until(lambda: waiting[0].running() and waiting[1].running())
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
    assert pool.pids == ()
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(0)


def test_workers_end_with_their_parent(clips: list[Path]) -> None:
    script = (
        "import sys, time\n"
        "from microg_bench.video.pool import DecodePool\n"
        "from microg_bench.video.sampling import FrameSpec\n"
        "pool = DecodePool(workers=1)\n"
        "pool.submit(sys.argv[1], FrameSpec(count=2)).result()\n"
        "print(*pool.pids, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(clips[0])], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert not gone(worker)
        parent.kill()
    wait_until(lambda: gone(worker))


def test_workers_yield_the_processor_to_their_parent(single: DecodePool) -> None:
    of = partial(os.getpriority, os.PRIO_PROCESS)
    assert all(of(pid) == min(of(0) + 10, 19) for pid in single.pids)


def test_an_interrupt_from_the_terminal_reaches_the_parent_only(single: DecodePool) -> None:
    assert all(os.getpgid(pid) != os.getpgrp() for pid in single.pids)


def test_the_pixels_of_all_clips_ahead_are_bounded(
    clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nbytes = decode(clips[0], SPEC).pixels.nbytes
    monkeypatch.setattr(pools, "MAX_POOL_BYTES", 4 * nbytes)
    with DecodePool(workers=2) as pool:  # four clips ahead
        assert pool.ahead == 4
        assert pool.submit(clips[0], SPEC).result().pixels.nbytes == nbytes
    monkeypatch.setattr(pools, "MAX_POOL_BYTES", 4 * nbytes - 1)
    with DecodePool(workers=2) as pool, pytest.raises(DecodeError, match="4 frames of 96x64 exceed"):
        pool.submit(clips[0], SPEC).result()
