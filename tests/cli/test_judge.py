"""`microg-bench judge`: what is printed and written, exit statuses, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from microg_bench.annotation.ratings import COLUMNS
from microg_bench.curation.tables import table_text
from microg_bench.judges import judges_of
from microg_bench.runs.record import RunRecord
from tests.helpers.datasets import bench
from tests.helpers.fault_server import FaultServer
from tests.helpers.judged import by_rules, judged_runs

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    root = tmp_path_factory.mktemp("runs")
    judged_runs(root)
    return root


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    for name in ("blind", "constant"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def judge(server: FaultServer, *arguments: str) -> tuple[str, ...]:
    return ("judge", *arguments, "--judge", "server:m", "--url", server.url)


def test_runs_are_judged_and_compared(server: FaultServer, runs: Path) -> None:
    server.says = by_rules
    done = bench(*judge(server, "blind", "constant", "--rubric", "short-answer"), cwd=runs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("12 asked, 12 judged, 0 not readable, 0 not asked") == 2
    assert len(list(runs.glob("*/vqa/judge/server-m-short-answer-*/judgement.json"))) == 2
    done = bench("judge", "compare", "blind", "constant", cwd=runs)
    assert done.returncode == 1 and "has not been judged" in done.stderr, "captions were not"
    done = bench("judge", "compare", "blind/vqa", "constant/vqa", cwd=runs)
    assert done.returncode == 0, done.stderr
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("rating")]
    assert row[1:4] == ["A", "−", "B"] and float(row[5]) <= float(row[4]) <= float(row[7])


def test_a_dry_run_counts_requests_and_tokens_and_asks_nothing(server: FaultServer, runs: Path) -> None:
    done = bench(*judge(server, "blind", "--rubric", "caption-questions", "--dry-run"), cwd=runs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("blind/caption: 8 requests (about ")
    assert "then 8 requests" in done.stdout and "Question: " in done.stdout
    assert not server.bodies and not list(runs.rglob("judge"))


def test_a_dry_run_tells_what_it_would_cost(runs: Path) -> None:
    paid = ("--judge", "openai:gpt-5.4-mini", "--dry-run")
    done = bench(
        "judge", "blind/vqa", "--rubric", "short-answer", *paid, cwd=runs, env={"OPENAI_API_KEY": "sk-x"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("blind/vqa: about $") and "for 12 requests" in done.stdout


def test_the_default_judge_is_pinned_and_does_not_think(runs: Path) -> None:
    record = RunRecord.read(runs / "blind/vqa")
    (one,) = (
        judge.options for judge in judges_of([record], "short-answer", None, {"seed": "3", "thinking": None})
    )
    assert one.model == "vllm:Qwen/Qwen3.5-9B" and re.fullmatch(r"[0-9a-f]{40}", one.revision or "")
    assert (one.thinking, one.seed) == ("off", 3)
    (other,) = judges_of([record], "short-answer", "server:m", {})
    assert other.options.revision is None


def test_what_failed_is_told_and_tried_again(server: FaultServer, runs: Path) -> None:
    server.says = by_rules
    server.script = lambda question, attempt: "400" if "wear" in question else ""
    command = judge(server, "blind/vqa", "--rubric", "short-answer")
    done = bench(*command, cwd=runs)
    assert done.returncode == 1 and "run the same command again" in done.stderr
    server.script = lambda question, attempt: ""
    done = bench(*command, cwd=runs)
    assert done.returncode == 0 and "12 asked, 12 judged" in done.stdout


def test_verdicts_that_cannot_be_read_are_asked_again(server: FaultServer, runs: Path) -> None:
    server.says = lambda prompt: "no JSON" if "wear" in prompt else by_rules(prompt)
    command = judge(server, "blind/vqa", "--rubric", "short-answer")
    done = bench(*command, cwd=runs)
    assert done.returncode == 1 and "run the same command again" in done.stderr
    assert "0 not readable" not in done.stdout
    server.says = by_rules
    assert bench(*command, cwd=runs).returncode == 0


def test_a_partial_judge_is_flagged(server: FaultServer, runs: Path) -> None:
    server.says = by_rules
    text = (runs / "blind/vqa/run.json").read_text()
    (runs / "blind/vqa/run.json").write_text(text.replace('"checkpoint": null', '"checkpoint": "org/m"'))
    done = bench(*judge(server, "blind/vqa", "--rubric", "short-answer"), cwd=runs)
    assert done.returncode == 0 and "the candidate's own checkpoint" in done.stderr


def test_people_rate_and_the_judge_is_held_against_them(server: FaultServer, runs: Path) -> None:
    server.says = by_rules
    bench(*judge(server, "blind/vqa", "constant/vqa", "--rubric", "short-answer"), cwd=runs)
    done = bench("judge", "rate", "blind/vqa", "constant/vqa", "--out", "page", "--sample", "9", cwd=runs)
    assert done.returncode == 0 and done.stdout.strip() == "page/index.html: 9 answers", done.stderr
    answers = page_data(runs / "page/index.html")["answers"]
    assert not any("blind" in json.dumps(one) or "constant" in json.dumps(one) for one in answers)
    rows = [
        [one["fingerprint"], one["item"], "ann", ("right", "wrong")[k % 2], ""]
        for k, one in enumerate(answers)
    ]
    (runs / "ann.csv").write_text(table_text(COLUMNS, rows))
    done = bench("judge", "agreement", "blind/vqa", "constant/vqa", "--ratings", "ann.csv", cwd=runs)
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()[1:3]]
    assert names == ["ROUGE-L", "rating,"] and done.stdout.count("sensitivity") >= 2
    assert len(list(runs.rglob("agreement.json"))) == 2
    board = judged_board(runs)
    assert "(9 answers, 1 rater)" in board["protocol"]
    assert board["groups"][0]["rows"][0]["notes"][0].startswith("12 asked")
    done = bench("judge", "agreement", "blind/caption", "--ratings", "ann.csv", cwd=runs)
    assert done.returncode == 1 and "none of these runs" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def judged_board(runs: Path) -> dict[str, Any]:
    """The one board of judged scores on a leaderboard of all runs."""
    done = bench("leaderboard", "build", "--runs", ".", "--out", "site", cwd=runs)
    assert done.returncode == 0, done.stderr
    boards = page_data(runs / "site/index.html")["boards"]
    (board,) = [one for one in boards if one["task"].startswith("judged")]
    assert all(set(one["columns"]).isdisjoint(board["columns"]) for one in boards if one is not board)
    return dict(board)


def test_judged_scores_stand_on_a_board_of_their_own(server: FaultServer, runs: Path) -> None:
    server.says = by_rules
    bench(*judge(server, "blind/caption", "constant/caption", "--rubric", "caption-facts"), cwd=runs)
    board = judged_board(runs)
    assert board["protocol"].startswith("judge-caption-facts@1:") and " by m; " in board["protocol"]
    assert board["protocol"].endswith("agreement with people unknown") and board["protocol"] in board["told"]
    assert board["columns"] == ["precision", "recall", "hallucination"] and board["lower"] == [
        "hallucination"
    ]
    rows = board["groups"][0]["rows"]
    assert len(rows) == 2 and set(board["pairs"]) == set(board["columns"])
    done = bench("tables", "--runs", ".", "--out", "written", cwd=runs)
    assert done.returncode == 0, done.stderr
    (table,) = json.loads((runs / "written/judged.json").read_text())
    assert [row["scores"]["recall"]["value"] for row in table["rows"]] == pytest.approx(
        [row["values"][1] for row in rows], abs=1e-3
    )
    assert "agreement with people unknown" in (runs / "written/judged.md").read_text()


def test_a_judgement_that_is_out_of_date_is_left_out(server: FaultServer, runs: Path) -> None:
    server.says = by_rules
    bench(*judge(server, "blind/vqa", "--rubric", "short-answer"), cwd=runs)
    (file,) = runs.rglob("judgement.json")
    file.write_text(file.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    for command in (("tables", "--runs", "."), ("leaderboard", "build", "--runs", ".", "--out", "site")):
        done = bench(*command, cwd=runs)
        assert done.returncode == 1 and "left out: " in done.stderr and "other references" in done.stderr


def page_data(page: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL
    )
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("blind/vqa", "--rubric", "caption-facts"), "is for caption"),
        (("blind/vqa", "--rubric", "shortanswer"), "short-answer"),
        (("nowhere", "--rubric", "short-answer"), "no such folder"),
        (("blind/vqa", "--rubric", "short-answer", "--judge", "blind"), "baseline"),
        (("compare", "blind/vqa"), "two or more"),
        (("compare", "blind/vqa", "constant/vqa"), "has not been judged"),
    ],
)
def test_what_cannot_be_judged_is_told_in_a_line(runs: Path, arguments: tuple[str, ...], told: str) -> None:
    done = bench("judge", *arguments, cwd=runs)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert told in line and not list(runs.rglob("judge"))
