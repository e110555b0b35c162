"""Tables of repeats and of paraphrases: the cells of a score, and what is counted below."""

from typing import Any

import pytest

from microg_bench.scoring.paraphrases import ParaphrasesReport, WordingEffect
from microg_bench.scoring.repeats import RepeatedScore, RepeatsReport, TaskRepeats
from microg_bench.tables.repeats import (
    cells,
    paraphrases_facts,
    paraphrases_table,
    repeats_facts,
    repeats_table,
    share,
    wording_cells,
)

SCORE = RepeatedScore(
    mean=20.0, interval=(18.5, 21.456), within=0.25, between=1.5, scores=(20.5, 19.25, 20.25)
)
BARE = RepeatedScore(mean=20.0, interval=None, within=0.0, between=None, scores=(20.0, 20.0))
EFFECT = WordingEffect(spread=12.0, difference=-1.25, interval=(-2.0, 0.5), p=0.0421)
NO_EFFECT = WordingEffect(spread=0.0, difference=0.0, interval=None, p=None)
REPORT: dict[str, Any] = {"title": "M", "dataset": "d", "fingerprint": "f", "warnings": ("Take care.",)}


def repeated(**changed: Any) -> TaskRepeats:
    values = {
        "task": "vqa",
        "asked": 1200,
        "answered": (1200, 1100, 1150),
        "items": 1050,
        "same": 0.5,
        "metrics": {"CIDEr": SCORE, "ROUGE-L": BARE},
    }
    return TaskRepeats.model_validate({**values, **changed})


def paraphrased(**changed: Any) -> ParaphrasesReport:
    values = {
        "paraphrases": 2,
        "compared": 2000,
        "other": 0.125,
        "wordings": repeated(),
        "questions": (),
        "effects": {"CIDEr": EFFECT, "ROUGE-L": NO_EFFECT},
    }
    return ParaphrasesReport.model_validate({**REPORT, **values, **changed})


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of a table in Markdown, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_a_score_has_its_interval_both_deviations_and_its_extremes() -> None:
    assert cells(SCORE) == ["20.00", "18.50 to 21.46", "0.25", "1.50", "19.25", "20.50"]
    assert cells(BARE) == ["20.00", "n/a", "0.00", "n/a", "20.00", "20.00"]


def test_a_table_of_repeats_has_a_row_a_metric_and_tells_what_was_answered() -> None:
    report = RepeatsReport(**REPORT, repeats=3, tasks=(repeated(), repeated(task="caption", metrics={})))
    text = repeats_table(report)
    assert rows(text.partition("Captioning")[0]) == [["CIDEr", *cells(SCORE)], ["ROUGE-L", *cells(BARE)]]
    assert text.count("- Take care.") == 2
    assert all(f"- {fact}" in text for fact in repeats_facts(repeated()))
    first, second = repeats_facts(repeated(same=None))
    assert first.startswith("1,050 of 1,200 requests were answered in each of 3 repeats")
    assert second.startswith("n/a of these 1,050 requests")


def test_a_table_of_paraphrases_tells_what_other_words_do() -> None:
    report = paraphrased()
    own = {"CIDEr": ["12.00", "-1.25 (-2.00 to +0.50)", "0.042"], "ROUGE-L": ["0.00", "+0.00", "n/a"]}
    for name, score in report.wordings.metrics.items():
        assert wording_cells(report, name) == [*cells(score), *own[name]]
    text = paraphrases_table(report)
    assert rows(text) == [[name, *wording_cells(report, name)] for name in own]
    assert "- Take care." in text and all(f"- {fact}" in text for fact in paraphrases_facts(report))
    assert [fact.split(", whose")[0] for fact in paraphrases_facts(report)] == [
        "1,050 of 1,200 questions were answered as published and in 2 paraphrases each",
        "50.0% of these 1,050 questions have the same answer in all wordings",
        "12.5% of 2,000 answers to paraphrases",
    ]


@pytest.mark.parametrize(
    ("part", "shown"), [(None, "n/a"), (0.0, "0.0%"), (0.1234, "12.3%"), (1.0, "100.0%")]
)
def test_a_share_is_in_percent(part: float | None, shown: str) -> None:
    assert share(part) == shown
