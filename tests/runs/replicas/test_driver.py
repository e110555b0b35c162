"""Replicas on this machine that share a run: nothing is lost, whatever becomes of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from microg_bench.errors import EngineError, RunError, UsageError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.runs import configure
from microg_bench.runs import frames as shown
from microg_bench.runs.configure import Configuration
from microg_bench.runs.execute import ask, open_work
from microg_bench.runs.record import RunRecord
from microg_bench.runs.replicas import driver, local
from microg_bench.runs.replicas.replica import Setup
from tests.helpers.runs import opened
from tests.helpers.stand_in import ADAPTER, asked, environment
from tests.runs.replicas.conftest import IDS, Asking

pytestmark = pytest.mark.heavy
ALL = {*IDS, *(f"{name}#{k}" for name in IDS for k in (1, 2))}
WORKER = "microg_bench.runs.replicas.worker"


def test_replicas_give_the_answers_of_one_process(asking: Asking, tmp_path: Path) -> None:
    one = asking(1, tmp_path / "one")
    three = asking(3, tmp_path / "three")
    assert one.texts == three.texts
    assert one.texts.keys() == ALL
    assert Counter(asked(three.folder)) == Counter(ALL), "each request is asked once"
    for task, record in three.records.items():
        for name, answer in record.answers.items():
            other = one.records[task].answers[name]
            assert (answer.answer, answer.frames, answer.clip_sha256) == (
                other.answer,
                other.frames,
                other.clip_sha256,
            )
        (start,) = record.starts
        assert start["engine"]["stand_in"] == "1"
        assert start["usage"]["answers"] == len(ALL)
        assert start["usage"]["seconds"]["decoding"] > 0
        assert start["prompted"]["id"] in record.answers
    assert three.heard.steps == len(ALL)


def test_all_requests_of_a_clip_are_asked_of_one_replica(asking: Asking) -> None:
    found = asking(3, seconds=0.02)
    parts = [
        {name.partition("#")[0] for name in file.read_text().split()} for file in found.folder.glob("asked-*")
    ]
    assert len(parts) == 3
    assert sum(map(len, parts)) == len(IDS)


@pytest.mark.parametrize("what", ["adapter", "checkpoint", "prompt for vqa"])
def test_a_replica_that_finds_other_files_is_refused(
    asking: Asking, adapter: Path, tmp_path: Path, what: str
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    files = {
        "adapter": adapter,
        "checkpoint": weights / "model.safetensors",
        "prompt for vqa": tmp_path / "own.toml",
    }
    files["checkpoint"].write_bytes(b"weights")
    files["prompt for vqa"].write_text(
        'id = "own"\nversion = 1\ntask = "vqa"\npurpose = "Own."\nuser = "{{ question }}"\n'
    )
    edited = files[what].read_bytes().replace(b"{{ question", b"So: {{ question") + b"\n"
    options = {"checkpoint": str(weights), "prompt": str(files["prompt for vqa"]), "tasks": "vqa"}
    with pytest.raises(EngineError, match=f"replica .: finds another {what} than this machine"):
        asking(2, options=options, then=lambda: files[what].write_bytes(edited))
    assert asked(tmp_path / "run" / "notes") == []


def test_a_replica_of_another_source_is_refused(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configure, "package_sha256", lambda: "0" * 64)
    with pytest.raises(EngineError, match=r"replica .: finds another source of microg-bench"):
        asking(2)


def test_a_replica_that_is_shown_other_files_is_refused(
    asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(file: Path | None) -> str | None:
        return "0" * 16 if file and file.stem == "b_001" else shown.clip_sha256(file)

    monkeypatch.setattr(driver, "clip_sha256", here)
    with pytest.raises(EngineError, match=r"replica .: was shown another file of b_001 than this machine"):
        asking(2)
    records = [RunRecord.read(tmp_path / "run" / task) for task in ("caption", "vqa")]
    answers = [name for record in records for name in record.answers]
    assert not [name for name in answers if name.startswith("b_001")]


@pytest.mark.parametrize("after", [1, 5, 9])
def test_what_a_killed_replica_had_is_asked_again(asking: Asking, tmp_path: Path, after: int) -> None:
    notes = tmp_path / "run" / "notes"

    def hunt() -> None:
        while len(asked(notes)) < after:
            time.sleep(0.005)
        os.kill(workers()[0], signal.SIGKILL)

    hunter = threading.Thread(target=hunt, daemon=True)
    hunter.start()
    found = asking(2, seconds=0.1)
    hunter.join()
    assert found.texts.keys() == ALL
    assert not found.heard.failures
    twice = Counter(asked(notes)) - Counter(ALL)
    assert sum(twice.values()) <= len(ALL) // 2, "what was given to one"
    assert any("was lost" in note for note in found.heard.notes)


def workers() -> list[int]:
    """The replicas of this process."""
    listed = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", WORKER], capture_output=True, text=True, check=False
    )
    return [int(process) for process in listed.stdout.split()]


def test_a_request_that_kills_its_replica_fails_alone(asking: Asking) -> None:
    found = asking(2, kill=["b_001#2"])
    assert found.texts.keys() == ALL - {"b_001#2"}
    (failure,) = found.heard.failures
    assert (failure.id, failure.stage) == ("b_001#2", "engine")
    assert "lost 3 times" in failure.reason
    assert "SIGKILL" in failure.reason


def test_a_replica_that_hangs_is_lost(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SILENCE_S", 12.0)
    found = asking(2, seconds=0.02, hang=[*ALL])
    assert found.texts.keys() == ALL
    assert not found.heard.failures
    assert any("was lost (it has said nothing for" in note for note in found.heard.notes)


def test_a_failure_that_may_pass_is_asked_again(asking: Asking) -> None:
    found = asking(2, busy={"a_000": 1, "a_001": 2, "a_002": 9})
    assert found.texts.keys() == ALL - {"a_002"}
    (failure,) = found.heard.failures
    assert failure.reason == "busy"
    assert asked(found.folder).count("a_002") == driver.ATTEMPTS


def test_an_engine_that_ends_leaves_its_requests_to_others(asking: Asking) -> None:
    found = asking(2, seconds=0.02, ends=[*ALL])
    assert found.texts.keys() == ALL
    assert not found.heard.failures
    assert any("the device is lost" in note for note in found.heard.notes)


def test_fewer_replicas_than_asked_for_are_said_and_the_run_goes_on(asking: Asking) -> None:
    found = asking(3, starts=1, seconds=0.2)
    assert found.texts.keys() == ALL
    assert any("could not be started (no memory for another)" in note for note in found.heard.notes)


class Waiting(local.LocalReplica):
    """Finds no place."""

    async def start(self, setup: Setup) -> None:
        await asyncio.Event().wait()


def test_a_replica_without_a_place_is_said_and_the_run_goes_on(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "PLACE_S", 1.0)
    placed = [local.LocalReplica("replica 1"), Waiting("replica 2")]
    monkeypatch.setattr(driver, "local_replicas", lambda options: placed)
    found = asking(2, seconds=0.5)
    assert found.texts.keys() == ALL
    said = "there is no place for replica 2 yet; the run goes on with 1 of 2"
    assert found.heard.notes.count(said) == 1


def test_without_a_replica_the_run_ends_with_the_reason(asking: Asking, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no replica is left: no memory for another"):
        asking(2, starts=0)
    assert workers() == []
    found = asking(2)
    assert found.texts.keys() == ALL, "the same command asks it"


def test_other_versions_are_refused(asking: Asking) -> None:
    with pytest.raises(EngineError, match=r"replica \d: has stand_in \d, but another replica has \d"):
        asking(2, version=["1", "2"])
    assert workers() == []


def test_answers_come_from_the_response_cache(asking: Asking, tmp_path: Path) -> None:
    options = {"cache": str(tmp_path / "cache")}
    first = asking(2, tmp_path / "one", options, device="cpu")
    second = asking(2, tmp_path / "two", options, device="cpu")
    assert second.texts == first.texts
    assert asked(second.folder) == []
    assert all(one.from_cache for record in second.records.values() for one in record.answers.values())


def test_a_clip_that_cannot_be_decoded_fails_alone(asking: Asking, clips: Path, tmp_path: Path) -> None:
    video = next(clips.rglob("c_003.mp4"))
    kept = video.read_bytes()
    try:
        video.write_bytes(b"no video")
        found = asking(2)
    finally:
        video.write_bytes(kept)
    assert found.texts.keys() == {name for name in ALL if not name.startswith("c_003")}
    assert {one.stage for one in found.heard.failures} == {"decode"}


def test_an_adapter_that_fails_again_and_again_ends_the_run(asking: Asking, tmp_path: Path) -> None:
    file = tmp_path / "failing.py"
    file.write_text(ADAPTER + '\n    def prompt(self, *_):\n        raise ValueError("no")\n')
    with pytest.raises(RunError, match=r"stopped: .*ValueError: no \(prompt\), \d+ requests in a row"):
        asking(2, options={"model": str(file)})
    assert workers() == []


def test_more_replicas_than_gpus_are_refused(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    with pytest.raises(UsageError, match="--replicas: 4 replicas of 1 GPUs each, but there are 3"):
        asking(4)
    found = local.local_replicas(Options(replicas=3))
    assert [one._environment["CUDA_VISIBLE_DEVICES"] for one in found] == ["4", "5", "7"]
    with pytest.raises(UsageError, match="2 replicas of 2 GPUs each, but there are 3"):
        local.local_replicas(Options(replicas=2, tensor_parallel_size=2))
    (one,) = local.local_replicas(Options(replicas=1, tensor_parallel_size=2))
    assert one._environment["CUDA_VISIBLE_DEVICES"] == "4,5"


def test_variants_of_a_sweep_share_the_replicas_and_the_decoding(
    configured: Callable[..., Configuration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", environment(tmp_path / "notes"))
    chosen = [configured(replicas=2, frames=frames, tasks="caption") for frames in (1, 3)]
    with ExitStack() as stack:
        variants = [
            stack.enter_context(opened(tmp_path / str(number), one)) for number, one in enumerate(chosen)
        ]
        asyncio.run(ask(variants, tmp_path, Progress()))
    for number, frames in enumerate((1, 3)):
        answers = RunRecord.read(tmp_path / str(number) / "caption").answers
        assert answers.keys() == set(IDS)
        assert {len(one.frames) for one in answers.values()} == {frames}
        assert all(f" ({frames}, " in one.text for one in answers.values())
    assert Counter(asked(tmp_path / "notes")) == Counter([*IDS, *IDS])


def test_what_a_replica_is_told_holds_from_any_folder(
    configured: Callable[..., Configuration], clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    given = {"data": os.path.relpath(clips), "model": "stand_in_adapter.py", "checkpoint": "weights"}
    one = configured(replicas=2, **given)
    with opened(tmp_path / "run", one) as variant:
        options = driver._options(variant)
        (work, *_) = open_work([variant])
        order = driver._order(work, [variant])
        files = driver._files([variant])
    assert options["model"] == str(tmp_path / "stand_in_adapter.py")
    assert options["checkpoint"] == str(tmp_path / "weights")
    assert "prompt" not in options
    assert order.clip and order.clip.video and order.clip.video.is_absolute()
    assert order.clip.caption is None
    assert files == [tmp_path / "stand_in_adapter.py", tmp_path / "weights", order.clip.video]
