"""Settings that a model rejects: what was not sent is recorded, and is not sent again."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.batch_vendors import OpenAIVendor
from tests.helpers.datasets import bench, make_dataset
from tests.helpers.fault_server import FaultServer
from tests.helpers.runs import start_bench, wait_until

pytestmark = pytest.mark.heavy

pytest.importorskip("openai", reason="the extra openai is not installed")

ENV = {"OPENAI_API_KEY": "sk-proj-0123456789abcdefghij"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", ["a_000", "b_000"])


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Its model takes neither temperature nor seed."""
    with FaultServer() as running:
        running.script = lambda question, attempt: next(
            (name for name in ("temperature", "seed") if name in running.bodies[-1]), ""
        )
        yield running


def command(server: FaultServer, data: Path, *more: str, engine: str = "openai") -> tuple[str, ...]:
    asked = ("vqa", "--model", f"{engine}:m", "--url", server.url, "--data", str(data), "--frames", "2")
    return (
        *asked,
        "--max-tokens",
        "8",
        "--metrics",
        "ROUGE-L",
        "--run",
        "r",
        "--max-concurrency",
        "1",
        *more,
    )


def told(run: Path) -> Any:
    return json.loads((run / "run.json").read_text())["starts"]


@pytest.mark.parametrize("engine", ["openai", "server"])
def test_what_was_not_sent_is_told_by_the_run_and_the_scorecard(
    server: FaultServer, data: Path, tmp_path: Path, engine: str
) -> None:
    done = bench(*command(server, data, engine=engine), cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    (start,) = told(tmp_path / "r")
    assert start["rejected"] == ["temperature", "seed"]
    card = json.loads((tmp_path / "r" / "scorecard.json").read_text())
    assert card["rejected"] == ["temperature", "seed"]
    assert card["settings"]["generation"]["temperature"] == 0.0


def test_a_model_that_takes_everything_leaves_nothing_to_tell(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    server.script = lambda question, attempt: ""
    bench(*command(server, data), cwd=tmp_path, env=ENV)
    assert told(tmp_path / "r")[0]["rejected"] == []
    assert json.loads((tmp_path / "r" / "scorecard.json").read_text())["rejected"] == []


def test_the_next_start_leaves_them_out_from_the_first_request(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    bench(*command(server, data), cwd=tmp_path, env=ENV)
    journal = tmp_path / "r" / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:1]))
    server.bodies.clear()
    done = bench(*command(server, data), cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    assert len(server.bodies) == 3
    assert not any({"temperature", "seed"} & body.keys() for body in server.bodies)
    assert all("top_p" in body for body in server.bodies)
    assert [start["rejected"] for start in told(tmp_path / "r")] == [["temperature", "seed"]] * 2


def test_a_start_that_is_killed_has_told_how_it_asked(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    def script(question: str, attempt: int) -> str:
        rejected = next((name for name in ("temperature", "seed") if name in server.bodies[-1]), "")
        return rejected or ("silent" if server.answered else "")

    server.script = script
    process = start_bench(
        *command(server, data),
        cwd=tmp_path,
        env={**os.environ, **ENV},
    )
    run = tmp_path / "r" / "run.json"
    wait_until(lambda: run.exists() and "rejected" in run.read_text(), process)
    process.kill()
    process.communicate()
    assert told(tmp_path / "r")[0]["rejected"] == ["temperature", "seed"]
    assert "usage" not in told(tmp_path / "r")[0]


def test_a_batch_leaves_out_what_was_rejected_before(server: FaultServer, data: Path, tmp_path: Path) -> None:
    bench(*command(server, data), cwd=tmp_path, env=ENV)
    journal = tmp_path / "r" / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:1]))
    vendor = OpenAIVendor(server)
    done = bench(*command(server, data, "--batch", "--yes"), cwd=tmp_path, env=ENV)
    assert done.returncode == 75, done.stderr
    sent = [request["body"] for request in vendor.requests("batch_0")]
    assert len(sent) == 3
    assert not any({"temperature", "seed"} & body.keys() for body in sent)
    assert told(tmp_path / "r")[1]["rejected"] == ["temperature", "seed"]


def test_what_a_batch_was_rejected_for_is_left_out_of_the_next(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    vendor, batched = OpenAIVendor(server), command(server, data, "--batch", "--yes")
    bench(*batched, cwd=tmp_path, env=ENV)
    assert told(tmp_path / "r")[0]["rejected"] == []
    vendor.end("batch_0", lambda name: "temperature")
    failed = bench(*batched, cwd=tmp_path, env=ENV)
    assert failed.returncode == 1
    assert "m rejects temperature: it is left out from here on" in failed.stderr
    assert told(tmp_path / "r")[1]["rejected"] == ["temperature"]
    assert bench(*batched, cwd=tmp_path, env=ENV).returncode == 75
    assert not any("temperature" in request["body"] for request in vendor.requests("batch_1"))
    vendor.end("batch_1", lambda name: "temperature")
    assert bench(*batched, cwd=tmp_path, env=ENV).returncode == 0
    card = json.loads((tmp_path / "r" / "scorecard.json").read_text())
    assert (card["items"], card["counts"]["failed"], card["rejected"]) == (4, 0, ["temperature"])


def test_an_answer_without_its_temperature_is_not_cached(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    done = bench(*command(server, data, "--cache", "kept"), cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "kept").iterdir()) == []
