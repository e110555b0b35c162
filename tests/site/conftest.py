"""Runs of several models for the tests of the leaderboard's pages, and the site that is built of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.datasets import bench, record, write_annotations

HOSTILE = "<script>document.title='x'</script></script><img src=x onerror=alert(1)>\"'&\u202e\u2028{{ 7 }}"
METRICS = ("--metrics", "CIDEr,BLEU-4,ROUGE-L")
# By title: how far its scores are moved, and what else it is made to be.
MODELS: dict[str, tuple[float, dict[str, Any]]] = {
    "Alpha": (10.0, {"frames": "uniform:4", "engine": "vllm", "checkpoint": "org/alpha"}),
    "Beta": (20.0, {"frames": "uniform:8", "engine": "openai", "checkpoint": "gpt-4o"}),
    "Gamma": (5.0, {"frames": "uniform:8", "engine": "vllm", "checkpoint": "org/gamma"}),
    HOSTILE: (1.0, {"frames": "uniform:4", "engine": "vllm", "checkpoint": HOSTILE}),
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scored runs of both tasks: two floors, and four models made of them. Do not change it."""
    place = tmp_path_factory.mktemp("site")
    records = [record(name, n) for n, name in enumerate(("a_001", "a_002", "b_001", "c_001"), start=1)]
    data = write_annotations(place / "refs.json", records)
    for name in ("blind", "constant"):
        done = bench("run", "--model", name, "--data", data, "--run", f"runs/{name}", *METRICS, cwd=place)
        assert done.returncode == 0, done.stderr
    for number, (title, (moved, settings)) in enumerate(MODELS.items()):
        for task in ("caption", "vqa"):
            run = place / "runs" / f"model{number}" / task
            shutil.copytree(place / "runs" / "blind" / task, run)
            make_model(run, title, moved, settings)
    return place / "runs"


def make_model(run: Path, title: str, moved: float, settings: dict[str, Any]) -> None:
    """Turn the run of a floor into that of a model, whose scores are higher."""
    content = json.loads((run / "run.json").read_text())
    content["settings"] |= {"title": title, "model": "made-up", **settings}
    (run / "run.json").write_text(json.dumps(content))
    card = json.loads((run / "scorecard.json").read_text())
    card["settings"] = content["settings"]
    frames = int(settings["frames"].partition(":")[2])
    card["model"] = {"name": "made-up", "title": title, "frames": settings["frames"], "frame_count": frames}
    for score in card["scores"].values():
        score["value"] += moved
        score["interval"] = [score["value"] - 2, score["value"] + 3]
    (run / "scorecard.json").write_text(json.dumps(card))
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        line |= {"prompt_tokens": 100_000, "output_tokens": 1000}
        if "<" in title:
            line |= {"answer": HOSTILE, "text": HOSTILE}
    (run / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="session")
def site(runs: Path) -> Path:
    """The site of these runs and of the reports on actions that ship with the repository."""
    reports = sorted((Path(__file__).resolve().parents[2] / "results" / "actions").glob("*.json"))
    actions = [word for report in reports for word in ("--actions", str(report))]
    done = bench("leaderboard", "build", "--runs", runs, *actions, "--out", "site", cwd=runs.parent)
    assert done.returncode == 0, done.stderr
    return runs.parent / "site"
