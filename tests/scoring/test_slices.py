"""Slices of the items against the other items: which are compared, and that the test keeps its level."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from microg_bench.dataset.clip_labels import ClipLabels
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array
from microg_bench.options import ScoringOptions
from microg_bench.records import Request
from microg_bench.scoring.evaluate import AnswerSet, Evaluation, evaluate_sets
from microg_bench.scoring.intervals import Clusters, holm, interval, resample, with_sample
from microg_bench.scoring.slices import contributions, flip_test
from microg_bench.slices import SMALLEST
from microg_bench.tasks import Item

ROUGE = METRICS["ROUGE-L"]
SOURCES, CLIPS = 8, 10  # and clips of each


def captions(sources: int = SOURCES, clips: int = CLIPS) -> list[Item]:
    return [
        Item(
            Request(id=f"s{s}_{k:03d}", task="caption", video_id=f"s{s}_{k:03d}", source=f"s{s}"),
            "a man floats",
        )
        for s in range(sources)
        for k in range(clips)
    ]


def evaluated(items: Sequence[Item], wrong: Sequence[str] = ()) -> Evaluation:
    """All answers are right, but those about the clips that are named."""
    answers = {item.request.id: "x" if item.request.id in wrong else "a man floats" for item in items}
    return evaluate_sets([AnswerSet("caption", items, answers)], ScoringOptions(metrics=("ROUGE-L",)))[0]


def labelled(items: Sequence[Item], **labels: Sequence[str]) -> ClipLabels:
    """The actions of clips by name."""
    names = {
        item.request.video_id: tuple(name for name, clips in labels.items() if item.request.id in clips)
        for item in items
    }
    return ClipLabels({"action": {clip: found for clip, found in names.items() if found}})


def ids(items: Sequence[Item], first: int, last: int) -> list[str]:
    """The clips with these numbers of every source."""
    return [one.request.id for one in items if first <= int(one.request.id[-3:]) < last]


def test_a_slice_that_is_answered_worse_differs() -> None:
    items = captions()
    stand, walk = ids(items, 0, 5), ids(items, 5, 10)
    found = evaluated(items, stand).slices(labelled(items, stand=stand, walk=walk))["action"]
    assert list(found) == ["stand", "walk"]
    for label, value in (("stand", -100.0), ("walk", 100.0)):
        one = found[label].differences["ROUGE-L"]
        assert (found[label].items, found[label].sources) == (SOURCES * 5, SOURCES)
        assert one.value == pytest.approx(value)
        assert one.p == 2 / 2**SOURCES
        assert one.corrected == 2 * one.p


def test_slices_of_few_clips_are_left_out_and_still_are_others() -> None:
    items = captions()
    rare, stand = ids(items, 0, 2), ids(items, 2, 6)
    assert len(rare) < SMALLEST <= len(stand)
    alone = evaluated(items, rare).slices(labelled(items, stand=stand, rare=rare))["action"]
    assert list(alone) == ["stand"]
    assert alone["stand"].differences == {}  # the others are too few, and those without label are none
    assert alone["stand"].scores == {"ROUGE-L": pytest.approx(100.0)}
    walk = ids(items, 6, 8)
    both = [*stand, *walk]
    more = evaluated(items, rare).slices(labelled(items, stand=stand, rare=rare, walk=walk, both=both))
    assert list(more["action"]) == ["both", "stand"]
    assert more["action"]["stand"].differences["ROUGE-L"].value == pytest.approx(50.0)


def test_own_slices_are_compared_where_they_are_large_and_source_videos_never() -> None:
    items = captions(3, SMALLEST)
    asked = [
        Item(
            one.request.model_copy(
                update={"task": "vqa", "question": ("Who" if k % 2 else "What") + " is it?"}
            ),
            one.reference,
        )
        for k, one in enumerate(items)
    ]
    answers = {item.request.id: "a man floats" for item in asked}
    (scored,) = evaluate_sets([AnswerSet("vqa", asked, answers)], ScoringOptions(metrics=("ROUGE-L",)))
    found = scored.slices()
    assert {label: set(one.differences) for label, one in found["question_word"].items()} == {
        "what": {"ROUGE-L"},
        "who": {"ROUGE-L"},
    }
    assert found["answerable"]["answerable"].differences == {}
    assert [one.differences for one in found["source"].values()] == [{}, {}, {}]
    assert [one.sources for one in found["source"].values()] == [1, 1, 1]


def test_one_source_video_is_compared_with_nothing() -> None:
    items = captions(1, 2 * SMALLEST)
    stand, walk = ids(items, 0, SMALLEST), ids(items, SMALLEST, 2 * SMALLEST)
    found = evaluated(items).slices(labelled(items, stand=stand, walk=walk))["action"]
    assert [(one.intervals, one.differences) for one in found.values()] == [({}, {}), ({}, {})]


def test_two_source_videos_are_enough_to_compare() -> None:
    items = captions(2, SMALLEST)
    stand, walk = ids(items, 0, SMALLEST // 2), ids(items, SMALLEST // 2, SMALLEST)
    found = evaluated(items, stand).slices(labelled(items, stand=stand, walk=walk))["action"]["stand"]
    assert found.differences["ROUGE-L"].value == pytest.approx(-100.0)
    assert found.differences["ROUGE-L"].p == 2 / 2**2


def test_the_interval_is_that_of_the_slice_scored_alone() -> None:
    items = captions()
    stand = ids(items, 0, 5)
    wrong = [name for k, name in enumerate(stand) if k % (2 + k % 7) == 0]
    found = evaluated(items, wrong).slices(labelled(items, stand=stand))["action"]["stand"]
    alone = [item for item in items if item.request.id in stand]
    entry = evaluated(alone, wrong).entries()["ROUGE-L"]
    assert found.scores["ROUGE-L"] == entry.value
    assert found.intervals["ROUGE-L"] == pytest.approx(entry.interval)


def test_p_values_are_corrected_over_the_slices_of_a_metric() -> None:
    items = captions()
    parts = {name: ids(items, 2 * k, 2 * k + 3) for k, name in enumerate(("a", "b", "c"))}
    wrong = ids(items, 0, 1)
    found = evaluated(items, wrong).slices(labelled(items, **parts))["action"]
    differences = [one.differences["ROUGE-L"] for one in found.values()]
    assert len(differences) == 3
    assert [one.corrected for one in differences] == pytest.approx(holm([one.p for one in differences]))


def scores(seed: int, items: int) -> Array:
    return np.random.default_rng(seed).random((items, 1))


def test_contributions_of_a_mean_sum_to_the_difference() -> None:
    statistics, sources = scores(0, 60), Clusters.of([str(k % 7) for k in range(60)])
    within, others = np.arange(0, 25), np.arange(25, 55)
    found = contributions(ROUGE, statistics, sources, within, others)
    assert found.shape == (7,)
    difference = ROUGE.aggregate(statistics[within]) - ROUGE.aggregate(statistics[others])
    assert found.sum() == pytest.approx(difference)


@pytest.mark.parametrize("sources", [5, 12])
def test_few_sources_give_the_exact_p_value_of_scipy(sources: int) -> None:
    found = np.random.default_rng(sources).normal(0.4, 1, (3, sources))
    for one, p in zip(found, flip_test(found), strict=True):
        expected = stats.permutation_test((one,), np.sum, permutation_type="samples", n_resamples=np.inf)
        assert p == pytest.approx(expected.pvalue)


def test_many_sources_give_a_p_value_near_that_of_scipy() -> None:
    found = np.random.default_rng(3).normal(0.4, 1, (2, 18))
    for one, p in zip(found, flip_test(found), strict=True):
        expected = stats.permutation_test((one,), np.sum, permutation_type="samples", n_resamples=np.inf)
        assert p == pytest.approx(expected.pvalue, abs=0.02)
    assert flip_test(found) == flip_test(found)
    assert flip_test(np.ones((1, 40)), tries=99) == [0.01]
    assert flip_test(np.ones((1, 40))) == [0.0001]


def test_what_never_differs_has_a_p_value_of_1() -> None:
    assert flip_test(np.zeros((2, 5))) == [1.0, 1.0]
    assert flip_test(np.zeros((1, 40))) == [1.0]


def test_the_test_keeps_its_level_where_slices_are_small_parts_of_sources() -> None:
    """Exchanging the parts of a source instead calls a fourth of such slices different."""
    generator = np.random.default_rng(1)
    sizes = (300, 200, 100, 60, 40, 30, 20, 10, 9, 8)
    sources = Clusters.of([str(k) for k, size in enumerate(sizes) for _ in range(size)])
    found = []
    for _ in range(400):
        within = np.sort(generator.choice(len(sources.member), 40, replace=False))
        others = np.setdiff1d(np.arange(len(sources.member)), within)
        effects = generator.normal(0, generator.choice([0, 1]), sources.count)[sources.member]
        values = (generator.normal(0, 1, len(sources.member)) + effects)[:, None]
        found.append(contributions(ROUGE, values, sources, within, others))
    assert np.mean(np.array(flip_test(np.array(found))) <= 0.05) <= 0.08


def test_the_interval_is_made_over_the_clusters_of_the_slice() -> None:
    statistics = scores(5, 40)
    clusters = Clusters.of([f"s{k % 8}" for k in range(40)])
    rows = np.arange(0, 40, 2)
    own = Clusters.of(clusters.member[rows])
    assert own.count == 4
    assert interval(ROUGE, statistics[rows], own, with_sample(resample(4))) is not None
