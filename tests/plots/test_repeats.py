"""The charts of repeats and of paraphrases: a point for each run, and the same bytes for the same report."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from microg_bench.plots.repeats import draw_paraphrases, draw_repeats
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT
from microg_bench.scoring.paraphrases import ParaphrasesReport
from microg_bench.scoring.repeats import RepeatedScore, RepeatsReport, TaskRepeats
from tests.helpers.figures import svg_words

pytestmark = pytest.mark.heavy


def repeats(interval: tuple[float, float] | None = (9.0, 13.0)) -> TaskRepeats:
    score = RepeatedScore(mean=11.0, interval=interval, within=1.0, between=0.5, scores=(10.0, 11.0, 12.0))
    return TaskRepeats(
        task="vqa",
        asked=100,
        answered=(100, 100, 100),
        items=100,
        same=0.5,
        metrics={"CIDEr": score, "ROUGE-L": score},
    )


def report(title: str = "A model", *tasks: TaskRepeats) -> RepeatsReport:
    return RepeatsReport(
        title=title, dataset="refs", fingerprint="0" * 64, repeats=3, warnings=(), tasks=tasks or (repeats(),)
    )


def test_a_chart_of_repeats_has_every_seed_and_metric(tmp_path: Path) -> None:
    files = draw_repeats(report(), tmp_path)
    assert [file.name for file in files] == ["vqa-repeats.png", "vqa-repeats.svg"]
    words = set(svg_words(tmp_path / "vqa-repeats.svg"))
    assert {"seed 0", "seed 1", "seed 2", "CIDEr", "ROUGE-L", "Question answering on refs: A model"} <= words


def test_a_chart_of_paraphrases_has_every_wording(tmp_path: Path) -> None:
    found = ParaphrasesReport(
        title="A model",
        dataset="refs",
        fingerprint="0" * 64,
        paraphrases=2,
        warnings=(),
        compared=200,
        other=0.5,
        wordings=repeats(None),
        effects={},
        questions=(),
    )
    assert draw_paraphrases(found, tmp_path) == [
        tmp_path / f"vqa-paraphrases.{one}" for one in ("png", "svg")
    ]
    words = set(svg_words(tmp_path / "vqa-paraphrases.svg"))
    assert {"as published", "paraphrase 1", "paraphrase 2"} <= words


def test_scores_on_the_sample_set_are_marked(tmp_path: Path) -> None:
    sample = report().model_copy(update={"fingerprint": SAMPLE_FINGERPRINT})
    draw_repeats(sample, tmp_path)
    assert NO_BENCHMARK in svg_words(tmp_path / "vqa-repeats.svg")


def test_the_same_report_gives_the_same_bytes_and_any_title_is_drawn(tmp_path: Path) -> None:
    first, second = (draw_repeats(report("A{$x_1$}\n\x1b[31m <b>"), tmp_path / name) for name in "ab")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_a_task_without_scores_has_no_chart(tmp_path: Path) -> None:
    none = repeats().model_copy(update={"metrics": {}})
    assert draw_repeats(report("A model", none), tmp_path) == []
    assert list(tmp_path.iterdir()) == []
