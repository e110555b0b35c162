"""What other words do to scores, compared with sums by hand."""

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import DataError
from microg_bench.metrics import METRICS
from microg_bench.records import Answer, Failure, Generation
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.intervals import Clusters
from microg_bench.scoring.paraphrases import paraphrases_report, wording_effect
from microg_bench.scoring.repeats import item_variance, repeated_score
from microg_bench.tasks import paraphrase_id
from tests.helpers.datasets import QUESTIONS, record, write_annotations
from tests.helpers.runs import open_run, score_by_rouge
from tests.scoring.test_repeats import Given

# Four questions of two source videos in three wordings: only the first and the last change with the words.
VALUES = np.array([[0.9, 0.5, 0.2, 0.1], [0.6, 0.5, 0.2, 0.5], [0.3, 0.5, 0.2, 0.3]])
WORDINGS = [row[:, None] for row in VALUES]
SOURCES = Clusters.of(["a", "a", "b", "b"])


def test_the_variance_within_questions_is_that_of_sums_by_hand() -> None:
    # Sample variances of the questions: 0.09 (0.9, 0.6, 0.3), 0, 0 and 0.04 (0.1, 0.5, 0.3).
    assert item_variance(Given, WORDINGS) == pytest.approx(100**2 * (0.09 + 0.04) / 4**2)
    found = repeated_score(Given, WORDINGS, SOURCES, by_item=True)
    assert found.scores == pytest.approx((42.5, 45.0, 32.5))
    assert found.mean == pytest.approx(40.0)
    assert found.within == pytest.approx(100 * sqrt(0.13) / 4)
    # Means over wordings: 0.6 and 0.5 of source a, 0.2 and 0.3 of source b. Both sums are 0.3 from 2 × 0.4.
    error2 = 2 * (100 * 0.3 / 4) ** 2
    assert found.between == pytest.approx(sqrt(error2 - found.within**2 / 3), rel=1e-4)


def test_the_order_of_paraphrases_of_a_question_changes_no_variance() -> None:
    moved = VALUES.copy()
    moved[:, 0] = VALUES[[2, 0, 1], 0]
    one, other = (
        repeated_score(Given, [row[:, None] for row in rows], SOURCES, by_item=True)
        for rows in (VALUES, moved)
    )
    assert (one.within, one.between, one.mean) == pytest.approx((other.within, other.between, other.mean))
    assert one.interval == pytest.approx(other.interval)
    assert one.scores != pytest.approx(other.scores)


def test_between_is_nothing_where_the_words_explain_the_error_of_the_mean() -> None:
    values = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = repeated_score(Given, [row[:, None] for row in values], Clusters.of(["a", "b"]), by_item=True)
    assert found.within == pytest.approx(100 * sqrt(0.5 + 0.5) / 2)
    assert found.between == 0


@pytest.mark.parametrize("name", ["CIDEr", "BLEU-4"])
def test_the_variance_of_any_metric_is_that_of_scores_with_wordings_by_chance(name: str) -> None:
    generator, items = np.random.default_rng(1), 60
    columns = 10 if name == "BLEU-4" else 1
    rows = generator.integers(20, 60, (3, items, columns)).astype(float)
    if name == "BLEU-4":
        rows[:, :, 0::2] = np.sort(rows[:, :, 0::2], axis=2)
    drawn = [
        METRICS[name].aggregate(rows[generator.integers(0, 3, items), np.arange(items)]) for _ in range(4000)
    ]
    # Drawing with replacement from three wordings has 2/3 of the sample variance.
    assert np.var(drawn) == pytest.approx(item_variance(METRICS[name], list(rows)) * 2 / 3, rel=0.1)


def test_the_effect_of_other_words_is_the_paired_difference() -> None:
    found = wording_effect(Given, WORDINGS, SOURCES)
    # As published 42.5; in other words (45 + 32.5) / 2.
    assert found.difference == pytest.approx(38.75 - 42.5)
    assert found.spread == pytest.approx(100 * sqrt((0.09 + 0.04) / 4))
    # The sources add (0.95 - 1.4) / 4 and (0.6 - 0.3) / 4: no exchange of them gives a smaller difference.
    assert found.p == 1.0


def test_an_effect_that_all_source_videos_have_is_shown() -> None:
    generator = np.random.default_rng(2)
    published = generator.uniform(0.4, 0.6, (40, 1))
    others = [published - generator.uniform(0.05, 0.15, (40, 1)) for _ in range(2)]
    found = wording_effect(Given, [published, *others], Clusters.of([f"{k % 20:02}" for k in range(40)]))
    assert found.interval is not None
    assert found.interval[0] < -10 < found.interval[1] < 0
    assert found.p is not None
    assert found.p < 0.01


def test_one_source_video_has_no_interval_and_no_p() -> None:
    found = wording_effect(Given, WORDINGS, Clusters.of(["a"] * 4))
    assert (found.interval, found.p) == (None, None)


# Reports of runs.

PUBLISHED = {f"{clip}#{k}": text for clip in ("a_001", "b_001") for k, text in enumerate(QUESTIONS, start=1)}
RIGHT = [f"Answer {k} about clip number {n}." for n in range(2) for k in range(2)]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    records = [record(name, n) for n, name in enumerate(("a_001", "b_001"))]
    return load(write_annotations(tmp_path / "refs.json", records))


def worded(
    folder: Path, dataset: Dataset, how: str, answers: Sequence[str | None], **settings: Any
) -> RunRecord:
    """A scored run that asks the four questions as published, or `how` else; None is a failure."""
    words = {paraphrase_id(name, f"{how} {text}"): f"{how} {text}" for name, text in PUBLISHED.items()}
    ids = words if how else PUBLISHED
    own = {"paraphrases": words} if how else {}
    with open_run(folder, task="vqa", fingerprint=dataset.fingerprint, **own, **settings) as one:
        for name, text in zip(ids, answers, strict=True):
            if text is None:
                one.add(Failure(id=name, stage="engine", reason="busy"))
            else:
                one.add(Answer(id=name, text=text, answer=text))
    run = RunRecord.read(folder)
    score_by_rouge([run], dataset)
    return run


def test_the_report_counts_other_answers_and_compares_each_question(tmp_path: Path, dataset: Dataset) -> None:
    right = RIGHT[0]
    runs = [
        worded(tmp_path / "published", dataset, "", [right, "x", *RIGHT[2:]]),
        worded(tmp_path / "1", dataset, "Say:", [right, "x", "x", RIGHT[3]]),
        worded(tmp_path / "2", dataset, "Tell:", ["x", "x", *RIGHT[2:]]),
    ]
    report = paraphrases_report(runs, PUBLISHED)
    assert (report.paraphrases, report.compared, report.other, report.warnings) == (2, 8, 2 / 8, ())
    assert [one.id for one in report.questions] == list(PUBLISHED)
    first = report.questions[0]
    assert first.texts == tuple(f"{how}{QUESTIONS[0]}" for how in ("", "Say: ", "Tell: "))
    assert first.answers == (right, right, "x")
    scores = np.array([one.scores["ROUGE-L"] for one in report.questions])
    assert scores == pytest.approx(np.array([[100, 100, 0], [0, 0, 0], [100, 0, 100], [100, 100, 100]]))
    within = report.wordings.metrics["ROUGE-L"].within
    assert within == pytest.approx(np.sqrt(scores.var(axis=1, ddof=1).sum()) / len(scores))
    effect = report.effects["ROUGE-L"]
    assert effect.difference == pytest.approx(scores[:, 1:].mean() - scores[:, 0].mean())
    # Both source videos lose a quarter: of the exchanges, all but those of one of them are as far apart.
    assert effect.p == 0.5
    assert (report.wordings.items, report.wordings.same) == (4, 0.5)


def test_questions_without_an_answer_in_some_wording_are_not_compared(
    tmp_path: Path, dataset: Dataset
) -> None:
    sampled = {"engine": "openai", "generation": Generation(max_tokens=8, temperature=0.5)}
    runs = [
        worded(tmp_path / "published", dataset, "", ["y", None, None, "y"], **sampled),
        worded(tmp_path / "1", dataset, "Say:", ["x", "x", None, "y"], **sampled),
        worded(tmp_path / "2", dataset, "Tell:", [None, "x", None, "y"], **sampled),
    ]
    report = paraphrases_report(runs, PUBLISHED)
    assert (report.compared, report.other) == (3, pytest.approx(1 / 3))
    assert report.questions[0].answers == ("y", "x", None)
    assert (report.effects, report.questions[0].scores) == ({}, {})
    assert len(report.warnings) == 2
    assert "temperature 0.5" in report.warnings[0]
    assert "wordings have no answer to 1 to 2 of 4 requests" in report.warnings[1]
    nothing = paraphrases_report(
        [runs[0], worded(tmp_path / "3", dataset, "Ask:", [None] * 4, **sampled)], PUBLISHED
    )
    assert (nothing.compared, nothing.other) == (0, None)


def test_runs_that_differ_in_more_than_their_words_are_refused(tmp_path: Path, dataset: Dataset) -> None:
    runs = [
        worded(tmp_path / "published", dataset, "", RIGHT),
        worded(tmp_path / "1", dataset, "Say:", RIGHT, dtype="bfloat16"),
    ]
    with pytest.raises(DataError, match="not only in other words: .*dtype") as caught:
        paraphrases_report(runs, PUBLISHED)
    assert caught.value.path == runs[1].path
