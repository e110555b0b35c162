"""Sweeps through real engines: each run is what it would be alone, in its answers and in its cost."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.api import Results
from microg_bench.prompts import find_template
from microg_bench.records import Answer
from microg_bench.tasks import TASKS, items_of
from tests.helpers.datasets import make_dataset
from tests.helpers.fault_server import FaultServer

pytestmark = pytest.mark.slow

IDS = ["a_000", "a_001", "b_000"]
REQUESTS = 3 * len(IDS)
GENERATED = 7  # tokens of each answer of the fault server
FRAMES, PROMPTS = (1, 2), ("default", "plain")
NAMES = [f"frames{count}-{prompt}" for count in FRAMES for prompt in PROMPTS]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A vendor whose answers say what they are answers to: how many frames, and which words."""
    pytest.importorskip("openai", reason="the extra openai is not installed")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def echo(asked: tuple[str, bytes, Any]) -> tuple[int, Any]:
        content = json.loads(asked[1])["messages"][-1]["content"]
        images = sum(part["type"] == "image_url" for part in content)
        with running.lock:
            running.answered[content[-1]["text"]] += 1
        time.sleep(random.random() * 0.01)  # so that answers come back in any order
        return 200, running.wire.answer(f"{images} images: {content[-1]['text']}")

    with FaultServer() as running:
        running.routes["POST", "/v1/chat/completions"] = echo
        yield running


def answers(results: Results) -> dict[str, Answer]:
    return {name: one for record in results.records.values() for name, one in record.answers.items()}


def remote(server: FaultServer, data: Path, **more: Any) -> dict[str, Any]:
    same = {"model": "openai:m", "data": str(data), "url": server.url, "metrics": "ROUGE-L", "progress": None}
    return {**same, **more}


def expected(data: Path, frames: int, prompt: str) -> dict[str, str]:
    """What the server says to each request of a run."""

    return {
        item.request.id: f"{frames} images: {find_template(task, prompt).render(item.request).user}"
        for task in TASKS
        for item in items_of(TASKS[task], mb.load_dataset(data).clips)
    }


def test_requests_of_the_same_id_never_mix(server: FaultServer, data: Path, tmp_path: Path) -> None:
    given = remote(server, data, frames=FRAMES, prompts=PROMPTS, cache=str(tmp_path / "cache"))
    for start in ("first", "second"):
        mb.sweep(run=tmp_path / start, **given)
        for frames in FRAMES:
            for prompt in PROMPTS:
                root = tmp_path / start / f"frames{frames}-{prompt}"
                found = {
                    name: one
                    for task in ("caption", "vqa")
                    for name, one in mb.load_run(root / task).answers.items()
                }
                assert {name: one.text for name, one in found.items()} == expected(data, frames, prompt)
                assert {len(one.frames) for one in found.values()} == {frames}
                assert {one.from_cache for one in found.values()} == {start == "second"}
    assert server.answered.total() == REQUESTS * len(NAMES), "the second sweep is answered by the cache"


@pytest.fixture
def prices(tmp_path: Path) -> str:
    """A generated token costs a dollar, everything else nothing."""
    file = tmp_path / "prices.toml"
    file.write_text("[openai.m]\ndate = 2026-01-01\ninput = 0\noutput = 1000000\n")
    return str(file)


def spent(results: Results) -> float:
    return sum(one.output_tokens or 0 for one in answers(results).values())


@pytest.mark.parametrize("max_concurrency", [1, 4])
def test_a_sweep_overspends_no_more_than_one_run_alone(
    server: FaultServer, data: Path, prices: str, tmp_path: Path, max_concurrency: int
) -> None:
    """The vendor generates seven tokens where one was the limit, so that what is in flight costs too much."""
    limit = 10
    given = remote(server, data, prices=prices, max_cost=limit, max_tokens=1, max_concurrency=max_concurrency)
    alone = mb.evaluate(run=tmp_path / "alone", frames=1, **given)
    sweep = mb.sweep(run=tmp_path / "sweep", frames=FRAMES, prompts=PROMPTS, **given)
    total = sum(map(spent, sweep.values()))
    most = limit + max_concurrency * (GENERATED - 1)
    assert limit < spent(alone) <= most
    assert limit < total <= most
    if max_concurrency == 1:
        assert total == spent(alone)
    for results in (alone, *sweep.values()):
        assert results.outcomes.exhausted
    assert {one.outcomes.dollars for one in sweep.values()} == {total}
    assert server.answered.total() * GENERATED == spent(alone) + total, "what was paid for is written down"


def test_a_sweep_whose_answers_cost_what_they_may_keeps_the_limit(
    server: FaultServer, data: Path, prices: str, tmp_path: Path
) -> None:
    limit = 6 * GENERATED + 1
    given = remote(server, data, prices=prices, max_cost=limit, max_tokens=GENERATED)
    sweep = mb.sweep(run=tmp_path / "sweep", frames=FRAMES, prompts=PROMPTS, **given)
    assert sum(map(spent, sweep.values())) == 6 * GENERATED
    more = given | {"max_cost": None}
    sweep = mb.sweep(run=tmp_path / "sweep", frames=FRAMES, prompts=PROMPTS, yes=True, **more)
    assert sum(map(spent, sweep.values())) == len(NAMES) * REQUESTS * GENERATED
    assert server.answered.total() == len(NAMES) * REQUESTS, "nothing was asked twice"


@pytest.mark.heavy
def test_sampled_answers_are_the_same_alone_and_in_a_sweep(
    data: Path, tiny_qwen: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {
        "model": "qwen2.5-vl", "engine": "transformers", "checkpoint": str(tiny_qwen), "data": str(data),
        "temperature": 1.0, "top_p": 0.95, "seed": 3, "max_tokens": 12, "batch_size": 4,
        "metrics": "ROUGE-L", "progress": None,
    }  # fmt: skip
    sweep = mb.sweep(run=tmp_path / "sweep", frames=FRAMES, prompts=PROMPTS, **given)
    assert list(sweep) == NAMES
    together = {name: {key: one.text for key, one in answers(sweep[name]).items()} for name in NAMES}
    for frames in FRAMES:
        for prompt in PROMPTS:
            name = f"frames{frames}-{prompt}"
            alone = mb.evaluate(run=tmp_path / name, frames=frames, prompt=prompt, **given)
            assert {key: one.text for key, one in answers(alone).items()} == together[name]
            assert len(together[name]) == REQUESTS
    other = mb.evaluate(run=tmp_path / "other", frames=FRAMES[0], prompt=PROMPTS[0], **(given | {"seed": 4}))
    assert {key: one.text for key, one in answers(other).items()} != together[NAMES[0]], "they are sampled"
