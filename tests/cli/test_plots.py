"""`microg-bench plots` and `score --plots`: how runs scored, as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from tests.helpers.datasets import bench, without
from tests.helpers.figures import svg_words

pytestmark = pytest.mark.heavy

VQA = ["vqa-metrics", "vqa-source", "vqa-question-word", "vqa-answerable"]
BOTH = ["caption-metrics", "caption-source", *VQA]


def files(folder: str, stems: list[str]) -> list[str]:
    return [f"{folder}/{stem}.{ending}" for stem in stems for ending in ("png", "svg")]


def edit(run: Path, **changed: Any) -> None:
    card = json.loads((run / "scorecard.json").read_text())
    (run / "scorecard.json").write_text(json.dumps(card | changed))


def test_runs_are_drawn_together_a_set_a_task(scored: Path, tmp_path: Path) -> None:
    done = bench("plots", "r", "--out", "p", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == files("p", BOTH)
    assert sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "p").iterdir()) == sorted(
        files("p", BOTH)
    )
    value = json.loads((scored / "vqa" / "scorecard.json").read_text())["scores"]["ROUGE-L"]["value"]
    assert {f"{value:.1f}", "Baseline: blind"} <= set(svg_words(tmp_path / "p" / "vqa-metrics.svg"))


def test_a_run_given_twice_counts_once(scored: Path, tmp_path: Path) -> None:
    bench("plots", "r/vqa", "--out", "once", cwd=tmp_path)
    bench("plots", "r/vqa", "r", "--out", "twice", cwd=tmp_path)
    for name in (f"{stem}.svg" for stem in VQA):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()


def test_score_draws_each_run_into_its_own_folder(scored: Path, tmp_path: Path) -> None:
    done = bench("score", "r", "--metrics", "ROUGE-L", "--plots", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = [line for line in done.stdout.splitlines() if line.endswith((".png", ".svg"))]
    assert drawn == files("r/caption/plots", BOTH[:2]) + files("r/vqa/plots", VQA)
    assert all((tmp_path / file).stat().st_size > 5000 for file in drawn)
    words = svg_words(tmp_path / "r" / "vqa" / "plots" / "vqa-metrics.svg")
    assert "ROUGE-L" in words and "CIDEr" not in words
    assert "Baseline: blind, 6 items, protocol paper" in words


def test_a_scored_run_with_plots_is_still_a_run(scored: Path, tmp_path: Path) -> None:
    bench("score", "r/vqa", "--metrics", "ROUGE-L", "--plots", cwd=tmp_path)
    first = {path: path.read_bytes() for path in sorted((scored / "vqa" / "plots").iterdir())}
    done = bench("score", "r", "--metrics", "ROUGE-L", "--plots", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in first} == first
    assert bench("submit", "pack", "r/vqa", "--into", "s", cwd=tmp_path).returncode == 0
    assert not list((tmp_path / "s").rglob("*.png"))


@pytest.mark.parametrize(
    "command", [("plots", "r", "--out", "p"), ("score", "r", "--metrics", "CIDEr", "--plots")]
)
def test_without_the_extra_it_is_one_line_and_nothing_is_done(
    scored: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in scored.rglob("*")}
    done = bench(*command, cwd=tmp_path, env=without(tmp_path, "matplotlib"))
    assert done.returncode == 1
    assert done.stderr == (
        "error: drawing needs an extra (No module named 'matplotlib'): pip install 'microg-bench[plots]'\n"
    )
    assert {path: path.stat().st_mtime_ns for path in scored.rglob("*")} == before
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"protocol": "coco", "scores": {}},
            "error: r/caption and s/caption are not comparable: their protocols differ",
        ),
        ({"fingerprint": "0" * 64}, "their references differ"),
        (
            {"scores": {"CIDEr": {"value": 1e300}}},
            "s/caption/scorecard.json: damaged: scores.CIDEr.value is 1e+300",
        ),
        (
            {"scores": {"CIDEr": {"value": 1.0, "interval": [0, float("inf")]}}},
            "s/caption/scorecard.json: damaged: not JSON: Infinity is no finite number",
        ),
        (
            {"slices": {"source": {"a": {"items": 1, "scores": {"CIDEr": float("nan")}}}}},
            "s/caption/scorecard.json: damaged: not JSON: NaN is no finite number",
        ),
    ],
)
def test_runs_that_cannot_be_drawn_are_one_line_and_nothing_is_written(
    scored: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    scored.joinpath("caption").rename(tmp_path / "kept")
    for name in ("r", "s"):
        folder = tmp_path / name / "caption"
        folder.mkdir(parents=True)
        for file in ("run.json", "scorecard.json"):
            (folder / file).write_bytes((tmp_path / "kept" / file).read_bytes())
    edit(tmp_path / "s" / "caption", **changed)
    done = bench("plots", "r", "s", "--out", "p", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plots", "nowhere", "--out", "p"), "error: nowhere: no such folder\n"),
        (
            ("plots", "empty", "--out", "p"),
            "error: empty: not a run folder (there is no run.json in it or below)\n",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "empty").mkdir()
    done = bench(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, message)
