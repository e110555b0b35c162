"""`microg-bench annotate`: what is printed and written, exit statuses, and what is refused."""

import json
import os
import signal
from pathlib import Path

import pytest

from microg_bench.annotation.reviews import COLUMNS, pair_fingerprint, pairs
from microg_bench.curation.tables import table_text
from microg_bench.dataset.load import load
from tests.helpers.datasets import bench, record, write_annotations
from tests.helpers.fault_server import FaultServer
from tests.helpers.runs import start_bench, wait_until
from tests.helpers.scripted_annotator import ScriptedAnnotator, caption

pytestmark = pytest.mark.heavy

ENV = {"OPENAI_API_KEY": "sk-none"}


def test_findings_are_a_table_json_and_a_page(tmp_path: Path) -> None:
    write_annotations(tmp_path / "set.json", [{**record("a_001"), "caption": "nan"}])
    done = bench("annotate", "check", "set.json", "--page", "page", cwd=tmp_path)
    assert done.returncode == 1 and "page/index.html" in done.stderr
    assert done.stdout.split()[:3] == ["item", "kind", "reason"]
    assert "blank-caption" in done.stdout and (tmp_path / "page/index.html").is_file()
    told = json.loads(bench("annotate", "check", "set.json", "--json", cwd=tmp_path).stdout)
    assert told["data"] == "set" and told["model"] is None
    assert [set(one) for one in told["findings"]] == [{"item", "kind", "reason"}] * 2
    assert told["unread"] == {}


def test_a_dataset_without_findings_ends_well(tmp_path: Path) -> None:
    done = bench("annotate", "check", "sample", cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "no findings")


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_asked(
    server: FaultServer, tmp_path: Path
) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page/mine.txt").write_text("mine")
    ask = ("annotate", "check", "sample", "--model", "server:m", "--url", server.url, "--page", "page")
    done = bench(*ask, cwd=tmp_path, env=ENV)
    assert done.returncode != 0 and "mine.txt" in done.stderr and not server.bodies


def test_a_model_is_asked_as_a_run(server: FaultServer, tmp_path: Path) -> None:
    ask = ("annotate", "check", "sample", "--model", "server:m", "--url", server.url, "--run", "r")
    done = bench(*ask, "--dry-run", cwd=tmp_path, env=ENV)
    assert done.returncode == 0 and "14 requests" in done.stdout and not server.bodies
    server.says = lambda asked: '{"findings": []}' if "grass" in asked else "no JSON"
    done = bench(*ask, cwd=tmp_path, env=ENV)
    assert done.returncode == 1 and "no findings" in done.stdout
    assert "no verdict on" in done.stderr
    server.says = lambda asked: '{"findings": []}'
    done = bench(*ask, cwd=tmp_path, env=ENV)
    assert (done.returncode, done.stdout.strip()) == (0, "no findings")
    assert (tmp_path / "r" / "journal.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("check", "nowhere"), "nowhere: no such dataset folder or annotation file"),
        (("check", "sample", "--dry-run"), "--dry-run: applies to a model only: give --model too"),
        (("check", "sample", "--max-tokens", "9"), "--max-tokens: applies to a model only"),
        (("check", "sample", "--model", "blind"), "blind: is a baseline, which reads no text"),
        (("check", "sample", "--model", "server:m", "--rubric", "nothing"), "unknown rubric 'nothing'"),
        (("check", "sample", "--model", "server:m", "--rubric", "own.toml"), "uses captions"),
        (("check", "bare.json", "--model", "server:m"), "no clip has a caption"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    rubric = (Path(__file__).parents[2] / "prompts/annotate/check.toml").read_text()
    (tmp_path / "own.toml").write_text(rubric.replace("caption |", "captions |"))
    write_annotations(tmp_path / "bare.json", [{"video_id": "a_001", "qa_pairs": []}])
    before = sorted(tmp_path.iterdir())
    done = bench("annotate", *arguments, cwd=tmp_path, env=ENV)
    assert done.returncode == 1 and told in done.stderr
    assert done.stderr.count("\n") == 1 and sorted(tmp_path.iterdir()) == before


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    things = ("apple", "brush", "camera", "drill", "eagle", "flag", "glove", "hammer")
    records = [
        {"video_id": f"a_{n:03}", "caption": caption([f"{thing}{n}" for thing in things]), "qa_pairs": []}
        for n in range(4)
    ]
    return write_annotations(tmp_path / "set.json", records)


FILES = ("candidates.jsonl", "questions.json", "vqa_and_captioning.json")


def test_making_questions_is_resumed_after_a_kill(
    server: FaultServer, captions: Path, tmp_path: Path
) -> None:
    server.says = ScriptedAnnotator().says
    ask = ("annotate", "questions", captions, "--model", "server:m", "--url", server.url, "--out")
    done = bench(*ask, "whole", cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    assert "24 pairs for 4 clips" in done.stdout and "no person has reviewed them yet" in done.stderr
    total = len(server.bodies)
    server.script = lambda question, attempt: "" if len(server.bodies) < total + 25 else "silent"
    process = start_bench(*map(str, ask), "out", cwd=tmp_path, env={**os.environ, **ENV})
    wait_until(lambda: len(server.bodies) >= total + 25, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "questions.json").exists()
    server.script = lambda question, attempt: ""
    before = len(server.bodies)
    done = bench(*ask, "out", cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    assert len(server.bodies) - before < total
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert "replace others" not in done.stderr
    done = bench(*ask, "out", "--per-clip", "3", cwd=tmp_path, env=ENV)
    assert done.returncode == 0 and "these pairs replace others" in done.stderr


def test_a_dry_run_shows_every_stage_and_asks_nothing(
    server: FaultServer, captions: Path, tmp_path: Path
) -> None:
    ask = ("annotate", "questions", captions, "--model", "server:m", "--url", server.url, "--out", "out")
    done = bench(*ask, "--limit", "2", "--dry-run", cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    stages = [line for line in done.stdout.splitlines() if line.startswith("== ")]
    assert [line.split()[1].rstrip(":") for line in stages] == [
        *("candidates", "unanswerable", "ratings", "answers", "comparisons")
    ]
    assert stages[0] == "== candidates: 2 requests at most"
    assert not server.bodies and not (tmp_path / "out").exists()


def test_what_fails_is_told_and_the_status_says_so(
    server: FaultServer, captions: Path, tmp_path: Path
) -> None:
    model = ScriptedAnnotator()
    model.changed = {("candidates", "apple0."): "no JSON"}
    server.says = model.says
    ask = ("annotate", "questions", captions, "--model", "server:m", "--url", server.url, "--out", "out")
    done = bench(*ask, cwd=tmp_path, env=ENV)
    assert done.returncode == 1
    assert "1 queries failed; run the same command again" in done.stderr
    assert "with fewer than 6 pairs: 1 clip (a_000 is the first)" in done.stderr


def test_reviews_are_merged_into_a_dataset(tmp_path: Path) -> None:
    data = write_annotations(tmp_path / "set.json", [record("a_001"), record("a_002", 1)])
    done = bench("annotate", "review", data, "--out", "page", cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "page/index.html")
    reviews = {"ann": ("accept", "accept", "reject"), "ben": ("accept", "reject", "reject")}
    shown = list(pairs(load(data)))
    for name, said in reviews.items():
        rows = [
            (item, name, one, "trivial" if one == "reject" else "", "", "", pair_fingerprint(clip, pair))
            for (item, clip, pair), one in zip(shown, said, strict=False)
        ]
        (tmp_path / f"{name}.csv").write_text(table_text(COLUMNS, rows))
    done = bench("annotate", "merge", data, "ann.csv", "ben.csv", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 of 4 pairs, 0 edited: out"
    assert "annotators differ on 1 pair: out/disagreements.csv" in done.stderr
    assert "1 pairs are not reviewed, and left out (a_002#2 is the first)" in done.stderr
    assert "1 of these are left out until a second pass decides" in done.stderr
    again = bench("annotate", "check", "out", "--json", cwd=tmp_path)
    assert {one["kind"] for one in json.loads(again.stdout)["findings"]} == {"pair-count"}
    second = bench("annotate", "review", data, "--out", "p2", "--only", "out/disagreements.csv", cwd=tmp_path)
    assert second.returncode == 0 and "a_002#1" not in (tmp_path / "p2/index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("questions", "set.json", "--out", "out"), "--model: give a model"),
        (("questions", "bare.json", "--model", "server:m", "--out", "out"), "no clip has a caption"),
        (("questions", "set.json", "--model", "server:m", "--out", "out", "--rubrics", "."), "has none of"),
        (("questions", "set.json", "--model", "server:m", "--out", "out", "--limit", "0"), "--limit"),
        (("review", "bare.json", "--out", "out"), "no pair to review"),
        (("merge", "set.json", "other.csv", "--out", "out"), "is a review of other pairs"),
        (("merge", "set.json", "nothing.csv", "--out", "out"), "nothing.csv"),
    ],
)
def test_bad_input_to_questions_and_reviews_is_one_line(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    write_annotations(tmp_path / "set.json", [record("a_001")])
    write_annotations(tmp_path / "bare.json", [{"video_id": "a_001", "qa_pairs": []}])
    (tmp_path / "other.csv").write_text(
        table_text(COLUMNS, [("a_001#1", "ann", "accept", "", "", "", "0" * 16)])
    )
    before = sorted(tmp_path.iterdir())
    done = bench("annotate", *arguments, cwd=tmp_path, env=ENV)
    assert done.returncode == 1 and told in done.stderr
    assert done.stderr.count("\n") == 1 and sorted(tmp_path.iterdir()) == before
