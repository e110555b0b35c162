from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from microg_bench.errors import DataError, MissingExtraError, UsageError
from microg_bench.plots.canvas import canvas
from microg_bench.plots.charts import CHARTS, MOST, draw_charts, draw_sweep
from microg_bench.plots.draw import (
    MOST_ROWS,
    draw_bars,
    draw_differences,
    draw_heat,
    draw_over_frames,
    labels,
)
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT, Counts, Scorecard, ScoreEntry
from microg_bench.slices import SliceDifference, SliceEntry
from tests.helpers.cards import METRICS, SLICES, make_card, signature, with_settings
from tests.helpers.figures import crowded, svg_words

pytestmark = pytest.mark.heavy

HOSTILE = "\x1b[31mA{$x_1$}\n$\\frac{$ \u202e \ud800 名前 -- & <b>]]> " + "long " * 60
FRAMES = (1, 4, 8, 16, 90)


def labelled(cards: list[Scorecard]) -> dict[str, Scorecard]:
    return dict(zip(labels(cards), cards, strict=True))


def names(files: list[Path]) -> list[str]:
    return [file.name for file in files]


def test_every_chart_is_written_as_png_and_svg(tmp_path: Path) -> None:
    cards = {f"run{k}": make_card(frames=k, task=task) for k in (1, 8) for task in ("caption",)}
    cards |= {f"vqa{k}": make_card(frames=k) for k in (1, 8)}
    files = draw_charts(cards, tmp_path / "new")
    stems = [
        "caption-metrics",
        "caption-source",
        "caption-frames",
        *(f"vqa-{name}" for name in CHARTS if name != "slices"),
    ]
    assert names(files) == [f"{stem}.{ending}" for stem in stems for ending in ("png", "svg")]
    assert sorted(names(files)) == sorted(path.name for path in (tmp_path / "new").iterdir())
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files if file.suffix == ".png")


def test_charts_say_what_they_show(tmp_path: Path) -> None:
    draw_charts({"a": make_card("Model A", 20.26), "b": make_card("Model B", 31.5)}, tmp_path)
    words = svg_words(tmp_path / "vqa-metrics.svg")
    assert {"Question answering on refs", "90 items, protocol paper", "Model A", "Model B"} <= set(words)
    assert {*METRICS, "20.3", "31.5", "Baseline: blind"} <= set(words)
    words = svg_words(tmp_path / "vqa-source.svg")
    assert {"FXv9AZl3fw4 (30)", "PrqcwH8LhDU (28)", "Model A", "10.3", "21.5"} <= set(words)


def test_the_same_cards_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.helpers.cards import make_card;"
        "from microg_bench.plots.charts import draw_charts;"
        "draw_charts({str(k): make_card(frames=k) for k in (1, 8)}, Path(sys.argv[1]))"
    )
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\nsvg.fonttype: none\n")
    for seed, cwd in (("1", tmp_path), ("2", Path.cwd())):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        subprocess.run([sys.executable, "-c", script, tmp_path / seed], cwd=cwd, env=env, check=True)
    drawn = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert len(drawn) == 10
    for name in drawn:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_a_hostile_name_is_drawn_as_text(tmp_path: Path) -> None:
    slices = {"source": {HOSTILE: SliceEntry(items=3, scores={"CIDEr": 1.0})}}
    cards = {
        str(k): make_card(HOSTILE, frames=k, dataset=HOSTILE, protocol=HOSTILE, slices=slices) for k in (1, 4)
    }
    files = draw_charts(cards, tmp_path)
    assert len(files) == 6
    for file in files:
        if file.suffix == ".svg":
            words = " ".join(svg_words(file))
            assert "A{$x_1$} $\\frac{$" in words
            assert "\x1b" not in words and len(words) < 3000
    with canvas() as figure:
        draw_bars(figure, labelled(list(cards.values())))
        assert crowded(figure) == []
    narrow = {"scores": {"CIDEr": ScoreEntry(value=1.0)}, "slices": slices}
    titles = (HOSTILE, "A WIDE name of a Large Multimodal Model", "Another")
    with canvas() as figure:
        draw_heat(figure, labelled([make_card(title, **narrow) for title in titles]), "source")
        assert crowded(figure) == []


def test_hostile_names_of_metrics_and_many_baselines_are_bounded(tmp_path: Path) -> None:
    card = make_card(scores={HOSTILE + str(k): ScoreEntry(value=1.0) for k in range(500)})
    baselines = {str(k): {"title": f"F{k}", "scores": {HOSTILE + "0": 1.0}} for k in range(500)}
    card = Scorecard.model_validate({**card.to_json(), "baselines": baselines})
    files = draw_charts({"a": card}, tmp_path)
    assert all(file.stat().st_size < 2_000_000 for file in files)


def many(count: int) -> list[Scorecard]:
    return [make_card(f"Some model number {k}", 15.0 + k) for k in range(count)]


@pytest.mark.parametrize("count", [1, 2, 10, 40])
def test_labels_of_few_and_many_runs_do_not_touch(count: int) -> None:
    with canvas() as figure:
        assert draw_bars(figure, labelled(many(count)))
        assert crowded(figure) == []
    for kind in SLICES:
        with canvas() as figure:
            assert draw_heat(figure, labelled(many(count)), kind)
            assert crowded(figure) == []


@pytest.mark.parametrize("count", [1, 3, 20])
def test_labels_of_few_and_many_lines_do_not_touch(count: int) -> None:
    with canvas() as figure:
        cards = [
            make_card(f"Some model number {k}", 15.0 + k, frames=n) for k in range(count) for n in FRAMES
        ]
        assert draw_over_frames(figure, labelled(cards))
        assert crowded(figure) == []


def test_bars_are_as_long_as_scores_and_whiskers_as_wide_as_intervals() -> None:
    cards = {"a": make_card("A", 20), "b": make_card("B", 10)}
    with canvas() as figure:
        draw_bars(figure, cards)
        axes = figure.axes[1]
        assert axes.get_title() == "BLEU-4"
        assert [patch.get_width() for patch in axes.patches] == [27, 17]
        whiskers = [line.get_segments()[0][:, 0].tolist() for line in axes.collections]
        assert whiskers == [[24, 31], [14, 21]]
        assert [line.get_xdata()[0] for line in axes.lines if line.get_label() == "Baseline: blind"] == [14.0]


def test_a_score_that_is_not_available_is_no_bar_of_zero() -> None:
    card = make_card("A", 20)
    less = card.model_copy(update={"scores": {**card.scores, "CIDEr": ScoreEntry(unavailable="no Java")}})
    with canvas() as figure:
        draw_bars(figure, {"a": card, "b": less})
        assert len(figure.axes[0].patches) == 1
        assert "n/a" in [text.get_text() for text in figure.axes[0].texts]


def test_a_heat_map_has_every_value_and_the_largest_slices_on_top() -> None:
    parts = {f"s{k:03d}": SliceEntry(items=k, scores={"CIDEr": float(k)}) for k in range(1, 100)}
    with canvas() as figure:
        draw_heat(figure, {"a": make_card(slices={"source": parts})}, "source")
        ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert ticks[:2] == ["s099 (99)", "s098 (98)"]
        assert len(ticks) == MOST_ROWS
        assert [text.get_text() for text in figure.axes[0].texts][:2] == ["99.0", "98.0"]
        assert figure.get_supylabel() == f"the {MOST_ROWS} largest; {99 - MOST_ROWS} more are not shown"


def compared(count: int, differs: Collection[int] = ()) -> dict[str, SliceEntry]:
    """Slices of as many sizes that are compared under CIDEr, those of these numbers significantly."""
    return {
        f"s{k:03d}": SliceEntry(
            items=1000 - k,
            scores={"CIDEr": 20.0 + k},
            differences={
                "CIDEr": SliceDifference(value=k - 2.5, p=0.01, corrected=0.01 if k in differs else 0.5)
            },
        )
        for k in range(count)
    }


def test_differences_of_slices_are_signed_and_the_significant_ones_marked(tmp_path: Path) -> None:
    slices = {"action": compared(4, {3}), "motion": {"low": SliceEntry(items=9, scores={"CIDEr": 1.0})}}
    cards = {
        "a": make_card("A", slices={**slices, "people": compared(1)}),
        "b": make_card("B", slices=slices),
    }
    with canvas() as figure:
        assert draw_differences(figure, labelled(list(cards.values())))
        assert crowded(figure) == []
        first, second = figure.axes
        rows = [label.get_text() for label in first.get_yticklabels()]
        assert rows == [*(f"action: s{k:03d} ({1000 - k:,})" for k in range(4)), "people: s000 (1,000)"]
        assert [label.get_text() for label in first.get_xticklabels()] == ["CIDEr"]
        assert [text.get_text() for text in first.texts] == ["-2.5", "-1.5", "-0.5", "+0.5*", "-2.5"]
        assert [text.get_weight() for text in first.texts].index("bold") == 3
        assert len(second.texts) == 4, "what a run does not compare is left out"
    assert "vqa-slices.svg" in names(draw_charts(cards, tmp_path))
    words = " ".join(svg_words(tmp_path / "vqa-slices.svg"))
    assert "less the other items" in words


def test_of_very_many_slices_those_that_differ_and_the_largest_are_drawn() -> None:
    with canvas() as figure:
        assert draw_differences(figure, {"a": make_card(slices={"action": compared(99, {98})})})
        ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert len(ticks) == MOST_ROWS
        assert (ticks[0], ticks[-2], ticks[-1]) == (
            *("action: s000 (1,000)", f"action: s{MOST_ROWS - 2:03d} ({1002 - MOST_ROWS:,})"),
            "action: s098 (902)",
        )
        assert figure.get_supylabel().endswith(f"{99 - MOST_ROWS} more are not shown")


def test_cards_that_compare_no_slices_have_no_chart_of_differences() -> None:
    with canvas() as figure:
        assert not draw_differences(figure, labelled(many(2)))


def lines(figure: Figure) -> dict[str, list[Any]]:
    return {
        str(line.get_label()): [list(line.get_xdata()), list(line.get_ydata())]
        for line in figure.axes[0].lines
    }


def test_lines_join_runs_that_differ_in_frames_alone() -> None:
    cards = [make_card("A", 10 + n, frames=n) for n in (8, 1)] + [make_card("B", 5, frames=n) for n in (4, 8)]
    cards += [make_card("A", 3, frames=4, prompt="plain"), make_card("C", 3)]
    with canvas() as figure:
        assert draw_over_frames(figure, labelled(cards))
        assert lines(figure) == {"A": [[1, 8], [11, 18]], "B": [[4, 8], [5, 5]]}


def test_there_is_no_chart_over_frames_of_one_number(tmp_path: Path) -> None:
    files = draw_charts({"a": make_card(frames=8), "b": make_card(frames=8, prompt="plain")}, tmp_path)
    assert files and not any("frames" in file.name for file in files)


@pytest.mark.parametrize("count", [0, -4, 10**300])
def test_numbers_of_frames_that_cannot_be_are_no_points(tmp_path: Path, count: int) -> None:
    cards = [make_card(frames=8), make_card(frames=4)]
    damaged = cards[1].to_json()
    damaged["model"]["frame_count"] = count
    files = draw_charts({"a": cards[0], "b": Scorecard.model_validate(damaged)}, tmp_path)
    assert files and not any("frames" in file.name for file in files)


def test_a_card_without_scores_gives_no_chart(tmp_path: Path) -> None:
    card = make_card(scores={"CIDEr": ScoreEntry(unavailable="x")}, slices={})
    assert draw_charts({"a": card}, tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_an_incomplete_run_is_told(tmp_path: Path) -> None:
    part = make_card(
        "B", items=80, counts=Counts(answered=80, failed=10), status="incomplete: 10 requests failed"
    )
    draw_charts({"a": make_card("A"), "b": part}, tmp_path)
    assert "90 items, protocol paper, 1 of 2 runs are incomplete" in svg_words(tmp_path / "vqa-metrics.svg")


def test_runs_that_think_and_runs_that_do_not_are_drawn_together(tmp_path: Path) -> None:
    thinks = {"CIDEr": ScoreEntry(value=9.0, signature=signature("CIDEr", thinking="on"))}
    plain = {"CIDEr": ScoreEntry(value=8.0, signature=signature("CIDEr"))}
    cards = {"a": make_card("A", scores=thinks), "b": make_card("B", scores=plain)}
    assert names(draw_charts(cards, tmp_path))


def test_what_no_reader_may_rely_on_is_told(tmp_path: Path) -> None:
    cut = make_card("B", counts=Counts(answered=90, truncated=90, flagged=90))
    draw_charts({"a": make_card("A"), "b": cut}, tmp_path)
    words = svg_words(tmp_path / "vqa-metrics.svg")
    assert "1 of 2 runs are unreliable: see the notes of their tables" in words
    assert "no benchmark" not in words


def test_the_sample_set_is_told_to_be_no_benchmark(tmp_path: Path) -> None:
    draw_charts({"a": make_card("A", fingerprint=SAMPLE_FINGERPRINT)}, tmp_path)
    assert NO_BENCHMARK in svg_words(tmp_path / "vqa-metrics.svg")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"protocol": "coco"}, "x and y are not comparable: their protocols differ (paper and coco)"),
        ({"fingerprint": "0" * 64}, "their references differ (ffffffffffff and 000000000000)"),
        ({"items": 5}, "their numbers of items differ (90 and 5)"),
        (
            {"settings": with_settings(make_card(), clips=("a",)).settings},
            "their clips differ (None and ('a',))",
        ),
        (
            {"scores": {"CIDEr": ScoreEntry(value=1.0, signature=signature("CIDEr", version="2"))}},
            "their signatures of CIDEr differ (CIDEr|p:paper|n:90|v:1 and CIDEr|p:paper|n:90|v:2)",
        ),
    ],
)
def test_runs_that_are_not_comparable_are_refused_before_anything_is_written(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        draw_charts(
            {"c": make_card(task="caption"), "x": make_card(), "y": make_card(**changed)}, tmp_path / "p"
        )
    assert message in str(caught.value)
    assert not (tmp_path / "p").exists()


def test_too_many_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{MOST + 1} runs of one task are too many"):
        draw_charts({str(k): make_card() for k in range(MOST + 1)}, tmp_path)


def test_a_sweep_over_frames_becomes_lines_and_one_over_prompts_bars(tmp_path: Path) -> None:
    both = ("caption", "vqa")
    frames = {
        f"frames{n}-{p}": [make_card("A", n, n, p, task=task) for task in both]
        for n in (1, 8)
        for p in ("default", "plain")
    }
    assert names(draw_sweep(frames, tmp_path))[::2] == ["caption-frames.png", "vqa-frames.png"]
    words = svg_words(tmp_path / "vqa-frames.svg")
    assert {"prompt vqa-default@1", "prompt vqa-plain@1", "A, 90 items, protocol paper"} <= set(words)
    prompts = {p: [make_card("A", prompt=p)] for p in ("default", "pl_{$ain", "_" * 99)}
    assert names(draw_sweep(prompts, tmp_path / "p")) == ["vqa-metrics.png", "vqa-metrics.svg"]
    assert {"default", "pl_{$ain", "?"} <= set(svg_words(tmp_path / "p" / "vqa-metrics.svg"))


def test_configurations_of_one_label_stay_apart(tmp_path: Path) -> None:
    draw_sweep({"_plain": [make_card(prompt="a")], "__plain": [make_card(prompt="b")]}, tmp_path)
    assert {"plain", "plain (2)"} <= set(svg_words(tmp_path / "vqa-metrics.svg"))


def test_a_missing_library_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        MissingExtraError, match=r"drawing needs an extra .*pip install 'microg-bench\[plots\]'"
    ):
        draw_charts({"a": make_card()}, tmp_path)
