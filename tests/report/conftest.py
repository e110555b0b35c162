"""Scored runs for the tests of pages, made by the real harness in child processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.datasets import bench, make_dataset, record, write_annotations

FAST = ("--metrics", "CIDEr,BLEU-4,ROUGE-L")

HOSTILE = " ".join(
    [
        "<script>document.title='broken'</script>",
        "</script><script>document.title='broken'</script>",
        "<!--<script>",
        "<img src=x onerror=\"document.title='broken'\">",
        "</textarea></title></style>",
        "\"'`&lt;&amp;",
        "{{ 7 * 7 }} ${7 * 7} {% raw %}",
        "javascript:alert(1)",
        "\u202egpj.exe",
        "\u2028\u0007",
        "w" * 500,
    ]
)
UNSEEN = "\x00\u200b"
HALF = "\ud800"  # half of a pair: a journal may hold it, a scorecard cannot
HOSTILE_ID = "<img src=q onerror=alert(1)>'\"&amp;"


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both tasks of `nearest-clip` on the sample set. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("sample")
    done = bench("run", "--model", "nearest-clip", "--data", "sample", "--run", "r", *FAST, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "r"


@pytest.fixture(scope="session")
def sample_page(sample_run: Path) -> Path:
    """The page of `sample_run`."""
    out = sample_run.parent / "page"
    done = bench("report", sample_run, "--out", out, cwd=sample_run.parent)
    assert done.returncode == 0, done.stderr
    return out / "index.html"


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both tasks of a run in which every text that can be hostile is: one question has failed, one answer is
    empty, one was cut. The dataset lies beside it as `data`."""
    folder = tmp_path_factory.mktemp("hostile")
    ids = [f"{HOSTILE_ID}_{k:03d}" for k in (1, 2)] + ["plain_001"]
    make_dataset(folder / "data", ids)
    records = [hostile_record(name, k) for k, name in enumerate(ids)]
    write_annotations(folder / "data" / "vqa_and_captioning.json", records)
    done = bench("run", "--model", "nearest-clip", "--data", "data", "--run", "r", *FAST, cwd=folder)
    assert done.returncode == 0, done.stderr
    for task in ("caption", "vqa"):
        spoil(folder / "r" / task)
    done = bench("score", "r", *FAST, cwd=folder)
    assert done.returncode == 1  # one question has failed
    return folder / "r"


def hostile_record(name: str, k: int) -> dict[str, Any]:
    """A record with two hostile questions and one that the clip does not answer."""
    pairs = [{"Q": f"question {n} {HOSTILE}", "A": f"reference {n} {HOSTILE}"} for n in (0, 1)]
    absent = {"Q": "Why?", "A": "Not mentioned."}
    return {**record(name, k), "caption": f"caption {k} {HOSTILE}", "qa_pairs": [*pairs, absent]}


def spoil(run: Path) -> None:
    """Make the answers, the title and the provenance of a run hostile, as a stranger's run folder may be."""
    content = json.loads((run / "run.json").read_text())
    content["settings"]["title"] = f"Model {HOSTILE}{UNSEEN}"
    content["settings"]["checkpoint"] = HOSTILE
    content["starts"][0]["engine"] = {HOSTILE: [f"{HOSTILE}{UNSEEN}{HALF}"]}
    (run / "run.json").write_text(json.dumps(content))
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        line |= {"answer": f"answer {HOSTILE}{UNSEEN}", "text": f"text {HOSTILE}{UNSEEN}{HALF}"}
    if "#" in lines[0]["id"]:
        lines[0] = {
            "type": "failure",
            "id": lines[0]["id"],
            "stage": "engine",
            "reason": f"reason {HOSTILE}{UNSEEN}{HALF}",
            "retryable": False,
            "text": f"failed text {HOSTILE}{UNSEEN}{HALF}",
        }
        lines[1] |= {"answer": "", "text": ""}
        lines[2] |= {"stop": "length"}
    (run / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="session")
def hostile_page(hostile_run: Path) -> Path:
    """The page of `hostile_run`."""
    done = bench("report", "r", "--out", "page", cwd=hostile_run.parent)
    assert done.returncode == 0, done.stderr
    return hostile_run.parent / "page" / "index.html"
