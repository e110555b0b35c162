"""What runs have, with answers in a schema: resume, cache, cost limit, batch, one line for bad input."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.errors import RunError, UsageError
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.pack import pack
from tests.helpers.batch_vendors import OpenAIVendor
from tests.helpers.datasets import record, write_annotations
from tests.helpers.fault_server import FaultServer
from tests.helpers.schemas import FITS, VERDICT

pytestmark = pytest.mark.slow

pytest.importorskip("openai", reason="the extra openai is not installed")

ADAPTER = f"""
from microg_bench.adapters.base import Adapter, Baseline
from microg_bench.records import Generation, Message, Prompt, Text

class Judge(Adapter):
    name = "judge"
    title = "Judge"
    checkpoint = "m"
    engines = ("server", "openai")
    sees_video = False
    generation = {{
        "caption": Generation(max_tokens=64, answer_schema={VERDICT!r}),
        "vqa": Generation(max_tokens=64, answer_schema={VERDICT!r}),
    }}

    def prompt(self, request, instruction, frames):
        return Prompt(messages=(Message(role="user", parts=(Text(text=f"judge {{request.id}}"),)),))
"""
BASELINE = f"""
from microg_bench.adapters.base import Baseline
from microg_bench.records import Generation

class Judge(Baseline):
    name = "judge"
    title = "Judge"
    generation = dict.fromkeys(("caption", "vqa"), Generation(answer_schema={VERDICT!r}))

    def answer(self, request, descriptor, others):
        return "never asked"
"""
PRICES = "[openai.m]\ndate = 2026-01-01\ninput = 1000\ncached = 500\noutput = 10000\nimage = 10\n"
ONE = (36 * 1000 + 64 * 500 + 7 * 10000) / 1e6  # dollars, of what the server on loopback counts


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-key-of-this-test")
    with FaultServer() as running:
        running.says = lambda question: FITS
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_annotations(tmp_path / "refs.json", [record(f"a_{n:03}", n) for n in range(4)])
    (tmp_path / "judge.py").write_text(ADAPTER)
    (tmp_path / "prices.toml").write_text(PRICES)
    return tmp_path


def options(server: FaultServer, folder: Path, **more: Any) -> dict[str, Any]:
    asked = {"model": str(folder / "judge.py"), "data": str(folder / "refs.json"), "tasks": "caption"}
    return {**asked, "engine": "openai", "url": (server.url,), "metrics": "ROUGE-L", **more}


def judged(server: FaultServer, folder: Path, run: str, **more: Any) -> RunRecord:
    mb.evaluate(**options(server, folder, **more), run=folder / run, progress=None)
    return RunRecord.read(folder / run / "caption")


def test_what_misses_the_schema_is_asked_again_by_the_same_call(server: FaultServer, folder: Path) -> None:
    server.says = lambda question: "Sure!" if question.endswith("2") else FITS
    first = judged(server, folder, "r")
    assert (sorted(first.answers), list(first.failures)) == (["a_000", "a_001", "a_003"], ["a_002"])
    server.says = lambda question: FITS
    again = judged(server, folder, "r")
    assert [answer.answer for answer in again.answers.values()] == [FITS] * 4
    assert server.asked["judge a_002"] == 2
    assert sum(server.asked.values()) == 5
    assert again.settings.generation.answer_schema == VERDICT
    with pytest.raises(RunError, match="has answers in a schema"):
        pack(again, folder / "submissions")
    assert not (folder / "submissions").exists()


def test_fitting_answers_are_shared_through_the_cache(server: FaultServer, folder: Path) -> None:
    cache = str(folder / "cache")
    server.says = lambda question: "Sure!" if question.endswith("2") else FITS
    judged(server, folder, "r", cache=cache)
    server.says = lambda question: FITS
    other = judged(server, folder, "s", cache=cache)
    assert {name: answer.from_cache for name, answer in other.answers.items()} == {
        "a_000": True, "a_001": True, "a_002": False, "a_003": True,
    }  # fmt: skip


def test_the_cost_limit_counts_misfits_too(server: FaultServer, folder: Path) -> None:
    server.says = lambda question: "Sure!" if question.endswith("0") else FITS
    prices = str(folder / "prices.toml")
    most = mb.dry_run(**options(server, folder, prices=prices)).estimate
    assert most is not None
    per_request = most.dollars / most.requests
    limit = 2 * ONE + per_request
    results = mb.evaluate(
        **options(server, folder, prices=prices, max_cost=limit, max_concurrency=1),
        run=folder / "r",
        progress=None,
    )
    assert results.outcomes.exhausted
    assert results.outcomes.dollars == pytest.approx(ONE * sum(server.asked.values()))
    assert 1 <= sum(server.asked.values()) < 4
    assert results.outcomes.failed == 1


def test_a_batch_is_sent_and_collected(server: FaultServer, folder: Path) -> None:
    vendor = OpenAIVendor(server)
    vendor.says = lambda key: f"{FITS}{FITS}" if key == "a_001" else FITS
    mb.evaluate(**options(server, folder, batch=True), run=folder / "r", progress=None)
    (batch,) = vendor.batches
    assert all("response_format" in sent["body"] for sent in vendor.requests(batch))
    vendor.end(batch, lambda key: "")
    mb.evaluate(**options(server, folder, batch=True), run=folder / "r", progress=None)
    found = RunRecord.read(folder / "r" / "caption")
    assert sorted(found.answers) == ["a_000", "a_002", "a_003"]
    assert "more than one" in found.failures["a_001"].reason
    assert sum(server.asked.values()) == 0, "nothing is asked outside of the batch"


def test_an_engine_without_schemas_is_refused_before_anything_is_asked(folder: Path) -> None:
    (folder / "judge.py").write_text(BASELINE)
    with pytest.raises(UsageError, match="engine function has no structured answers"):
        mb.evaluate(str(folder / "judge.py"), str(folder / "refs.json"), run=folder / "r", progress=None)
    assert not (folder / "r").exists()


def test_a_schema_that_cannot_be_used_is_one_line(server: FaultServer, folder: Path) -> None:
    (folder / "judge.py").write_text(
        ADAPTER.replace('"type": "boolean"', '"type": "string", "pattern": "(a+)+"')
    )
    with pytest.raises(UsageError, match="answer schema: cannot be used: .*pattern") as caught:
        judged(server, folder, "r")
    assert "\n" not in str(caught.value)
    assert not (folder / "r").exists()
    assert sum(server.asked.values()) == 0
