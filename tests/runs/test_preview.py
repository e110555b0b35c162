"""What a run would ask and cost, without a model."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import microg_bench as mb
from microg_bench.options import Options
from microg_bench.records import Answer
from microg_bench.runs.configure import configure
from microg_bench.runs.preview import preview
from microg_bench.runs.record import RunRecord


def test_the_first_request_of_each_task_is_shown_with_its_frames() -> None:
    found = mb.dry_run("nearest-clip", "sample", frames=3)
    assert [(one.request.task, one.frames) for one in found.examples] == [
        ("caption", (15, 45, 75)),
        ("vqa", (15, 45, 75)),
    ]
    assert found.estimate is None
    lines = str(found).splitlines()
    assert "frames      uniform:3" in lines
    assert "vqa         84 requests" in lines
    assert "cost        none" in lines


def test_the_cost_is_estimated_before_anything_is_asked(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    prices = tmp_path / "prices.toml"
    prices.write_text("[openai.m]\ndate = 2026-01-01\ninput = 0\noutput = 1000000\n")
    found = mb.dry_run("openai:m", "sample", prices=str(prices), max_tokens=5)
    assert found.estimate is not None
    assert (found.estimate.requests, found.estimate.output_tokens, found.estimate.dollars) == (98, 490, 490)
    assert "<video>" in str(found)
    for today, old in ((date(2026, 4, 1), False), (date(2026, 4, 2), True)):
        told = str(replace(found, today=today))
        assert "prices of 2026-01-01" in told
        assert ("days old" in told) == old


def test_what_the_user_must_know_comes_first() -> None:
    pytest.importorskip("google.genai", reason="the extra gemini is not installed")
    one = configure(Options.of({"model": "gemini-2.5-pro", "data": "sample"}))
    found = preview(one, today=date(2026, 12, 2))
    assert found.warnings == (str(found).splitlines()[0],)
    assert "rerouted by its vendor on 2026-12-01 (1 day ago)" in found.warnings[0]


def test_what_is_answered_already_is_not_counted_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    mb.evaluate("blind", "sample", "vqa", run=run, limit=2, metrics="ROUGE-L", progress=None)
    again = mb.dry_run("blind", "sample", "vqa", run=run, limit=2)
    assert again.answered == {"vqa": 12}
    assert again.to_json()["answered"] == again.to_json()["requests"]
    assert "vqa         12 requests, 12 of them answered already" in str(again).splitlines()
    assert mb.dry_run("blind", "sample", "vqa", run=tmp_path / "other", limit=2).answered == {"vqa": 0}
    with pytest.raises(mb.MicrogError, match="other settings"):
        mb.dry_run("blind", "sample", "vqa", run=run, limit=3)


def test_the_cost_is_that_of_what_is_left(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    prices = tmp_path / "prices.toml"
    prices.write_text("[openai.m]\ndate = 2026-01-01\ninput = 0\noutput = 1000000\n")
    options = {"prices": str(prices), "max_tokens": 5}
    one = configure(Options.of({"model": "openai:m", "data": "sample", "tasks": "caption", **options}))
    with RunRecord.open(tmp_path / "caption", one.settings("caption"), {}, {}) as run:
        run.add(Answer(id=one.items["caption"][0].request.id, text="x", answer="x"))
    found = mb.dry_run("openai:m", "sample", "caption", run=tmp_path, **options)
    assert found.estimate is not None
    assert (found.answered, found.estimate.requests, found.estimate.dollars) == ({"caption": 1}, 13, 65)
