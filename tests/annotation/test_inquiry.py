"""Questions to a language model about texts, through the real client of a server on loopback."""

import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.annotation.inquiry import Inquiry, Query, Replies
from microg_bench.api import in_loop
from microg_bench.dataset.load import load
from microg_bench.errors import MicrogError, RunError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.prompts import find_rubric
from microg_bench.runs.preview import preview
from microg_bench.runs.record import RunRecord, find_runs
from tests.helpers.fault_server import FaultServer

pytestmark = pytest.mark.slow

RIGHT = json.dumps({"reason": "it says the same", "rating": "right"})


def inquiry(server: FaultServer, **options: Any) -> Inquiry:
    given = {"model": "server:m", "url": server.url, **options}
    return Inquiry(find_rubric("judge", "short-answer"), Options.of(given), load("sample"))


def queries(answer: str = "a floating hat", count: int = 3) -> list[Query]:
    return [
        Query(
            name=f"clip_{n:03}#1",
            source="clip",
            fields={"question": f"What is seen at {n}?", "reference": "a hat", "answer": answer},
        )
        for n in range(count)
    ]


def ask(one: Inquiry, asked: list[Query], folder: Path) -> Replies:
    return in_loop(one.ask(asked, folder, Progress()))


def test_each_query_is_asked_once_and_answered_in_the_schema(server: FaultServer, tmp_path: Path) -> None:
    server.says = lambda question: RIGHT
    for _ in range(2):
        found = ask(inquiry(server), queries(), tmp_path / "run")
        assert found.is_whole and not found.failures
        assert found.answers == {f"clip_{n:03}#1": json.loads(RIGHT) for n in range(3)}
    assert len(server.bodies) == 3
    schema = find_rubric("judge", "short-answer").answer_schema
    for body in server.bodies:
        assert body["response_format"]["json_schema"]["schema"] == schema
        assert not any(
            part["type"] != "text" for part in body["messages"][-1]["content"] if isinstance(part, dict)
        )


def test_a_text_that_changed_is_asked_again_alone(server: FaultServer, tmp_path: Path) -> None:
    server.says = lambda question: RIGHT
    ask(inquiry(server), queries(), tmp_path / "run")
    changed = [*queries()[:2], *queries("a cap")[2:]]
    found = ask(inquiry(server), changed, tmp_path / "run")
    assert len(found.answers) == 3 and len(server.bodies) == 4
    assert '"a cap"' in json.dumps(server.bodies[-1]).replace('\\\\"', '"').replace('\\"', '"')


def test_what_does_not_fit_is_a_failure_and_is_asked_again(server: FaultServer, tmp_path: Path) -> None:
    server.says = lambda question: RIGHT if "at 1" in question else '{"rating": "perfect"}'
    found = ask(inquiry(server), queries(), tmp_path / "run")
    assert sorted(found.answers) == ["clip_001#1"]
    assert {one.stage for one in found.failures.values()} == {"parse"}
    server.says = lambda question: RIGHT
    assert len(ask(inquiry(server), queries(), tmp_path / "run").answers) == 3


def test_another_model_is_refused_and_nothing_is_asked(server: FaultServer, tmp_path: Path) -> None:
    server.models = ["m", "n"]
    server.says = lambda question: RIGHT
    ask(inquiry(server), queries(), tmp_path / "run")
    asked = len(server.bodies)
    with pytest.raises(RunError, match="other settings"):
        ask(inquiry(server, model="server:n"), queries(), tmp_path / "run")
    assert len(server.bodies) == asked


def test_texts_are_no_run_of_the_benchmark(server: FaultServer, tmp_path: Path) -> None:
    server.says = lambda question: RIGHT
    ask(inquiry(server), queries(), tmp_path / "run")
    with pytest.raises(RunError, match="text"):
        RunRecord.read(tmp_path / "run")


def test_what_lies_in_a_run_is_part_of_it(tmp_path: Path) -> None:
    for name in ("a", "a/judge/one", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b/c"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "blind"}, "baseline"),
        ({"frames": 4}, "--frames"),
        ({"replicas": 2}, "--replicas"),
        ({"max_cost": 1.0}, "--max-cost"),
        ({"model": "nobody"}, "nobody"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(
    server: FaultServer, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(MicrogError, match=told):
        ask(inquiry(server, **options), queries(), tmp_path / "run")
    assert not server.bodies and not (tmp_path / "run").exists()


def test_a_dry_run_shows_what_would_be_asked(server: FaultServer) -> None:
    shown = str(preview(inquiry(server).configured(queries())))
    assert "What is seen at 0?" in shown and "3 requests" in shown
    assert not server.bodies


def test_answers_come_from_the_response_cache(server: FaultServer, tmp_path: Path) -> None:
    server.says = lambda question: RIGHT
    for name in ("a", "b"):
        found = ask(inquiry(server, cache=str(tmp_path / "cache")), queries(), tmp_path / name)
        assert len(found.answers) == 3
    assert len(server.bodies) == 3
