"""Paraphrases: a model whose answers follow from the words is told from one whose answers do not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microg_bench as mb
from microg_bench import variants
from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.paraphrases import Paraphrased, preview_paraphrases
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.compare import compare
from microg_bench.scoring.paraphrases import paraphrases_report
from microg_bench.submissions.pack import pack
from microg_bench.tables.gather import gather, no_rows
from microg_bench.tasks import paraphrase_id
from tests.helpers.datasets import QUESTIONS, ROOT, bench, make_dataset
from tests.helpers.listening import WORDS, Deaf, Listening, in_other_words
from tests.helpers.oriented import answered_by, decoded_clips
from tests.helpers.runs import PRICES, contents, wait_until
from tests.helpers.sampling import Refusing
from tests.helpers.stand_in import write_adapter

pytestmark = pytest.mark.slow
IDS = [f"{source}_{k:03}" for source in "abcdef" for k in range(2)]
NAMES = ["published", "paraphrase-1", "paraphrase-2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return in_other_words(tmp_path / "words.jsonl", IDS)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(variants, "configure", answered_by(Listening))
    monkeypatch.setattr(Listening, "asked", [])
    return str(write_adapter(tmp_path))


def ask(model: str, data: Path, words: Path | None, run: Path, **options: Any) -> Paraphrased:
    given = {"metrics": "ROUGE-L", "progress": None, **options}
    return mb.paraphrase(model, data, paraphrases=words, run=run, **given)


def test_each_wording_is_asked_of_one_decoding_and_answers_that_change_are_counted(
    model: str, data: Path, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodings = decoded_clips(monkeypatch)
    found = ask(model, data, words, tmp_path / "r", pictures=False)
    assert sorted(decodings) == IDS
    assert list(found.results) == NAMES
    report = found.report
    assert (report.paraphrases, report.wordings.items) == (2, 2 * len(IDS))
    # Of one question the second paraphrase is misheard, of the other the first. The third is not asked.
    assert report.other == 0.5
    assert report.wordings.same == 0
    first, second = report.questions[:2]
    right, wrong = "Answer {} about clip number 0.", "Something else."
    assert (first.id, first.texts) == ("a_000#1", (QUESTIONS[0], *WORDS[0]))
    assert first.answers == (right.format(0), right.format(0), wrong)
    assert (second.id, second.texts) == ("a_000#2", (QUESTIONS[1], *WORDS[1][:2]))
    assert second.answers == (right.format(1), wrong, right.format(1))
    assert first.scores["ROUGE-L"] == pytest.approx((100, 100, 0))


def test_variances_are_those_of_the_scores_of_the_answers(
    model: str, data: Path, words: Path, tmp_path: Path
) -> None:
    found = ask(model, data, words, tmp_path / "r")
    runs = [one.records["vqa"] for one in found.results.values()]
    scores = np.array([list(run.item_scores()["ROUGE-L"].values()) for run in runs])
    within, effect = found.report.wordings.metrics["ROUGE-L"], found.report.effects["ROUGE-L"]
    assert within.scores == pytest.approx([run.scorecard.scores["ROUGE-L"].value for run in runs])
    variances = scores.var(axis=0, ddof=1)
    assert within.within == pytest.approx(np.sqrt(variances.sum()) / scores.shape[1], rel=1e-6)
    assert effect.spread == pytest.approx(np.sqrt(variances.mean()))
    assert effect.difference == pytest.approx(scores[1:].mean() - scores[0].mean())
    assert effect.p is not None
    assert effect.p < 0.05


def test_a_model_that_hears_no_words_does_not_change(
    model: str, data: Path, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "configure", answered_by(Deaf))
    report = ask(model, data, words, tmp_path / "r").report
    assert (report.other, report.wordings.same) == (0, 1)
    assert report.wordings.metrics["ROUGE-L"].within == 0
    effect = report.effects["ROUGE-L"]
    assert (effect.spread, effect.difference, effect.p) == (0, 0, 1)


def test_a_request_is_known_by_its_words_and_no_kept_answer_to_others_is_taken(
    model: str, data: Path, words: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"cache": str(tmp_path / "cache")}
    ask(model, data, words, tmp_path / "r", **given)
    published = [f"{name}#{k}" for name in IDS for k in (1, 2)]
    others = [
        paraphrase_id(name, WORDS[k % 2][place]) for k, name in enumerate(published) for place in (0, 1)
    ]
    assert sorted(Listening.asked) == sorted([*published, *others])
    Listening.asked.clear()
    again = ask(model, data, words, tmp_path / "again", **given)
    assert Listening.asked == [], "the answer to each wording was kept"
    assert again.report.other == 0.5


def test_the_same_command_resumes_and_other_words_are_another_run(
    model: str, data: Path, words: Path, tmp_path: Path
) -> None:
    before = ask(model, data, words, tmp_path / "r")
    Listening.asked.clear()
    after = ask(model, data, words, tmp_path / "r")
    assert Listening.asked == []
    assert after.report == before.report
    journal = (tmp_path / "r/paraphrase-1/vqa/journal.jsonl").read_bytes()
    in_other_words(words, IDS, [WORDS[0][::-1], WORDS[1][1::-1]])
    assert ask(model, data, words, tmp_path / "r").report == before.report, "the order does not count"
    assert Listening.asked == []
    in_other_words(words, IDS, [("Who is it?", WORDS[0][0]), WORDS[1]])
    with pytest.raises(
        RunError, match="asked a_000#1 as 'Whom does the clip show\\?', which is no paraphrase"
    ):
        ask(model, data, words, tmp_path / "r")
    assert (tmp_path / "r/paraphrase-1/vqa/journal.jsonl").read_bytes() == journal


def test_what_fails_or_is_sampled_is_told(
    model: str, data: Path, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "configure", answered_by(Refusing))
    found = ask(model, data, words, tmp_path / "r", temperature=1.0)
    report = found.report
    assert (report.wordings.asked, report.wordings.items, report.compared) == (24, 22, 44)
    assert (report.wordings.metrics, report.effects) == ({}, {})
    sampled, lacks = report.warnings
    assert "differ by chance alone" in sampled
    assert "2 of 24 requests: run the same command again" in lacks
    for line in report.warnings:
        assert line in found.table()
        assert line in found.page.read_text()


def test_a_baseline_never_samples(data: Path, words: Path, tmp_path: Path) -> None:
    assert ask("blind", data, words, tmp_path / "r", temperature=1.0).report.warnings == ()


@pytest.mark.heavy
def test_what_was_killed_ends_as_what_was_not(data: Path, words: Path, tmp_path: Path) -> None:
    adapter = str(write_adapter(tmp_path))
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"

    def start(run: Path, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.helpers.listening", adapter, str(data), str(run), str(words)]
        env, pipe = {**os.environ, "ORIENTED_SECONDS": str(seconds)}, subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)

    def lines() -> int:
        return sum(file.read_bytes().count(b"\n") for file in killed.rglob("journal.jsonl"))

    process = start(quiet, 0)
    assert process.wait(120) == 0, process.communicate()[1]
    process = start(killed, 0.05)
    wait_until(lambda: lines() >= 20, process)  # of 72
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert not (killed / "paraphrases.json").exists()
    process = start(killed, 0)
    assert process.wait(120) == 0, process.communicate()[1]
    expected = contents(quiet)
    assert {"paraphrases.json", "paraphrases.md", "index.html"} <= expected.keys()
    assert contents(killed) == expected


def test_a_run_in_other_words_is_read_and_scored_without_the_file(
    model: str, data: Path, words: Path, tmp_path: Path
) -> None:
    found = ask(model, data, words, tmp_path / "r")
    words.unlink()
    path = tmp_path / "r/paraphrase-1/vqa"
    before = (path / "scorecard.json").read_bytes()
    mb.score(path, data=data, metrics="ROUGE-L", progress=None)
    assert (path / "scorecard.json").read_bytes() == before
    record = RunRecord.read(path)
    (asked,) = {item.request.question for item in record.items(mb.load_dataset(data))} - {WORDS[1][0]}
    assert asked == WORDS[0][0]
    with pytest.raises(DataError, match="scored in only one of them"):
        compare([record, found.results["published"].records["vqa"]])


def test_a_clip_may_have_the_mark_of_a_paraphrase_in_its_id(model: str, tmp_path: Path) -> None:
    ids = ["a@b_000", "c_000"]
    data = make_dataset(tmp_path / "set", ids)
    words = in_other_words(tmp_path / "words.jsonl", ids)
    report = ask(model, data, words, tmp_path / "r").report
    assert [one.id for one in report.questions] == [f"{name}#{k}" for name in ids for k in (1, 2)]
    assert (report.other, report.wordings.items) == (0.5, 4)


def test_the_drift_of_a_run_in_other_words_is_measured_in_these_words(
    data: Path, words: Path, tmp_path: Path
) -> None:
    run = ask("blind", data, words, tmp_path / "r").results["paraphrase-1"].records["vqa"]
    found = mb.drift(run.path, data=data, sample=5, run=tmp_path / "d", progress=None)
    asked = found.results.records["vqa"].answers
    assert len(asked) == 5
    assert {name: one.answer for name, one in asked.items()} == {
        name: run.answers[name].answer for name in asked
    }


def test_runs_in_other_words_are_no_rows_of_tables_and_no_submissions(
    model: str, data: Path, words: Path, tmp_path: Path
) -> None:
    found = ask(model, data, words, tmp_path / "r")
    assert gather([tmp_path / "r"]).runs == []
    assert no_rows([tmp_path / "r"]) == "2 ask questions in other words, 1 ask a part of the requests"
    done = bench("tables", "--runs", tmp_path / "r", cwd=tmp_path)
    assert "2 ask questions in other words" in done.stderr
    assert done.returncode != 0
    done = bench("leaderboard", "build", "--runs", tmp_path / "r", "--out", "site", cwd=tmp_path)
    assert "2 ask questions in other words" in done.stderr
    assert done.returncode != 0
    assert not (tmp_path / "site").exists()
    done = bench("plots", tmp_path / "r", "--out", "charts", cwd=tmp_path)
    assert "asks questions in other words" in done.stderr
    assert not (tmp_path / "charts").exists()
    for one in found.results.values():
        with pytest.raises(RunError, match="requests only"):
            pack(one.records["vqa"], tmp_path)


def test_runs_that_differ_in_more_than_their_words_are_refused(
    data: Path, words: Path, tmp_path: Path
) -> None:
    first, second = (
        ask("blind", data, words, tmp_path / str(most), max_tokens=most).results for most in (10, 20)
    )
    runs = [first["published"].records["vqa"], second["paraphrase-1"].records["vqa"]]
    with pytest.raises(DataError, match="asks not only in other words: generation"):
        paraphrases_report(runs, {})


def test_what_is_written_is_what_was_found(model: str, data: Path, words: Path, tmp_path: Path) -> None:
    found = ask(model, data, words, tmp_path / "r")
    content = json.loads((tmp_path / "r" / "paraphrases.json").read_text())
    assert content == found.report.model_dump(mode="json", by_alias=True)
    assert content["schema"] == "microg-bench/paraphrases/1"
    assert (tmp_path / "r" / "paraphrases.md").read_text() == found.table()
    assert "| ROUGE-L |" in found.table()
    assert found.page == tmp_path / "r" / "index.html"
    assert found.page.is_file()


def test_questions_without_a_paraphrase_are_left_out_and_so_are_clips_that_are_not_chosen(
    model: str, data: Path, words: Path, tmp_path: Path
) -> None:
    in_other_words(words, IDS, WORDS[:1])
    found = ask(model, data, words, tmp_path / "r", clips="b_001,c_000")
    assert [one.id for one in found.report.questions] == ["b_001#1", "c_000#1"]


def test_the_file_beside_the_dataset_is_taken(model: str, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", IDS[:4])
    with pytest.raises(UsageError, match="--paraphrases: give a file: there is no paraphrases.jsonl"):
        ask(model, data, None, tmp_path / "r")
    in_other_words(data / "paraphrases.jsonl", IDS[:4])
    assert ask(model, data, None, tmp_path / "r").report.paraphrases == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tasks": "caption"}, "--tasks: does not apply to paraphrases"),
        ({"shard": "1/2"}, "--shard: does not apply to paraphrases"),
        ({"clips": "f_001"}, "none of the chosen clips has a question with a paraphrase"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    data: Path, tmp_path: Path, options: dict[str, str], said: str
) -> None:
    words = in_other_words(tmp_path / "words.jsonl", IDS[:4])
    with pytest.raises(UsageError, match=said):
        ask("blind", data, words, tmp_path / "r", **options)
    assert not (tmp_path / "r").exists()


def test_the_command_prints_the_table_and_a_dry_run_asks_nothing(
    data: Path, words: Path, tmp_path: Path
) -> None:
    given = ("paraphrase", "--model", "blind", "--data", data, "--metrics", "ROUGE-L", "--paraphrases", words)
    done = bench(*given, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split()[:2] for line in done.stdout.splitlines() if " requests, cost: " in line]
    each = str(2 * len(IDS))
    assert rows == [*([name, each] for name in NAMES), ["together", str(6 * len(IDS))]]
    assert not (tmp_path / "runs").exists()
    done = bench(*given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(IDS)} paraphrases are not asked: each question is asked in 2" in done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "paraphrases.md").read_text() in done.stdout
    words.write_text('{"video_id": "a_000", "question": 7, "paraphrase": "x"}\n' * 2)
    done = bench(*given, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line == f"error: {words}: line 1: unknown question '7': a_000 has 2, counted from 1"


def test_a_dry_run_tells_the_cost_of_all_wordings_together(data: Path, words: Path, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    (tmp_path / "prices.toml").write_text(PRICES)
    found = preview_paraphrases("openai:m", data, paraphrases=words, prices=str(tmp_path / "prices.toml"))
    alone = [one.estimate.dollars for one in found.runs.values() if one.estimate]
    assert len(alone) == 3
    (line,) = (line for line in str(found).splitlines() if line.startswith("together"))
    assert f"${sum(alone):,.2f} at most for {3 * 2 * len(IDS)} requests" in line
