"""Numbers, intervals and signatures that a scorecard can claim, and those next to them that it cannot."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from microg_bench.metrics import METRICS
from microg_bench.metrics.bertscore import published_baseline
from microg_bench.scorecard import BaselineEntry, IntervalEntry, Scorecard, ScoreEntry, Signature
from microg_bench.slices import SliceEntry
from microg_bench.submissions.claims import HIGHEST_BASELINE, claim_faults
from tests.submissions.small import alone, made, score

needs_baselines = pytest.mark.skipif(
    find_spec("bert_score") is None, reason="bert_score, which ships the baselines, is not installed"
)


@pytest.fixture
def card(tmp_path: Path) -> Scorecard:
    return made(tmp_path).scorecard


def claims(card: Scorecard, method: str | None = None, **changed: Any) -> list[str]:
    """The faults of a card with these scores beside or instead, and intervals of this method."""
    scores = {**card.scores, **{name.replace("_", "-"): one for name, one in changed.items()}}
    given = {"level": 0.95, "clusters": "source", "cluster_count": 9, "resamples": 9, "seed": 0}
    interval = IntervalEntry.model_validate({"method": method, **given}) if method else None
    return list(claim_faults(card.model_copy(update={"scores": scores, "interval": interval})))


@pytest.mark.parametrize("name", ["CIDEr", "BLEU-4", "BERTScore"])
def test_no_score_is_out_of_reach(card: Scorecard, name: str) -> None:
    low, high = METRICS[name].extremes
    low = -high if low == -math.inf else low
    for value in (low, high, low - 0.5e-6, high + 0.5e-6):
        assert claims(card, **{name: score(name, value)}) == []
    for value in (low - 2e-6, high + 2e-6):
        alone(claims(card, **{name: score(name, value)}), f"scores.{name}.value")
    alone(claims(card, **{name: score(name, 50.0, (low, high + 1))}), f"scores.{name}.interval")


@needs_baselines
@pytest.mark.parametrize(
    ("model", "layers", "published"),
    [
        ("roberta-large", 17, True),
        ("roberta-large", 3, True),
        ("roberta-large", 99, False),
        ("mine", 17, False),
    ],
)
def test_a_rescaled_score_reaches_as_low_as_its_baseline_lets_it(
    card: Scorecard, model: str, layers: int, published: bool
) -> None:
    baseline = published_baseline(model)[layers][2] if published else HIGHEST_BASELINE
    bound = 100 * (-1 - baseline) / (1 - baseline)  # of a cosine of -1
    values = {"rescaled": "yes", "model": f"{model}@0123456789ab", "layers": str(layers)}
    assert claims(card, BERTScore=score("BERTScore", bound, **values)) == []
    alone(claims(card, BERTScore=score("BERTScore", bound - 1e-3, **values)), "scores.BERTScore.value")


@needs_baselines
def test_the_highest_baseline_is_above_that_of_the_default_encoder() -> None:
    assert published_baseline("roberta-large")[:, 2].max() < HIGHEST_BASELINE < 1


@pytest.mark.parametrize(
    "values", [{}, {"rescaled": "yes"}, {"rescaled": "yes", "model": "x", "layers": "y"}]
)
def test_a_bertscore_whose_signature_does_not_tell_its_encoder_is_refused(
    card: Scorecard, values: dict[str, str]
) -> None:
    for signature in (Signature(metric="BERTScore", values=values), None):
        alone(
            claims(card, BERTScore=ScoreEntry(value=1.0, signature=signature)), "scores.BERTScore.signature"
        )


def test_scores_of_baselines_and_slices_have_the_same_reach(card: Scorecard) -> None:
    _, high = METRICS["CIDEr"].extremes
    for value, sound in ((high, True), (high + 1, False)):
        baselines = {"blind": BaselineEntry(title="B", scores={"CIDEr": value})}
        slices = {"source": {"a": SliceEntry(items=1, scores={"CIDEr": value})}}
        for given in ({"baselines": baselines}, {"slices": slices}):
            found = claims(card.model_copy(update=given))
            assert not found if sound else len(found) == 1


def test_of_numbers_out_of_reach_the_first_is_told(card: Scorecard) -> None:
    far = {name: score(name, 5000.0) for name in ("CIDEr", "BLEU-4")}
    alone(claims(card, **far), "scores.CIDEr.value")


def test_a_metric_that_is_not_known_has_no_number_but_0(card: Scorecard) -> None:
    def beauty(value: float) -> list[str]:
        entry = BaselineEntry(title="B", scores={"Beauty": value})
        return claims(card.model_copy(update={"baselines": {"blind": entry}}))

    assert beauty(0.0) == []
    for value in (0.5, -0.5):
        alone(beauty(value), "Beauty")


@pytest.mark.parametrize(
    ("interval", "sound", "of_percentiles"),
    [
        ((18.0, 22.0), True, True),
        ((20.0, 20.0), True, True),
        ((20.0 + 0.5e-6, 22.0), True, True),
        ((18.0, 20.0 - 0.5e-6), True, True),
        ((20.0 + 2e-6, 22.0), False, True),
        ((18.0, 20.0 - 2e-6), False, True),
        ((22.0, 18.0), False, False),
    ],
)
def test_an_interval_is_in_order_and_holds_its_value_but_for_percentiles(
    card: Scorecard, interval: tuple[float, float], sound: bool, of_percentiles: bool
) -> None:
    for method, fine in ((None, sound), ("symmetric bootstrap-t", sound), ("percentile", of_percentiles)):
        found = claims(card, method, CIDEr=score("CIDEr", 20.0, interval))
        assert not found if fine else len(found) == 1 and "scores.CIDEr.interval" in found[0]


def test_a_score_without_a_value_has_no_interval_and_needs_no_signature(card: Scorecard) -> None:
    assert claims(card, CIDEr=ScoreEntry(unavailable="no Java")) == []
    for method in (None, "percentile"):
        bare = ScoreEntry(unavailable="no Java", interval=(1.0, 2.0))
        alone(claims(card, method, CIDEr=bare), "scores.CIDEr.interval")


def signed(name: str, **values: str) -> ScoreEntry:
    return ScoreEntry(value=20.0, signature=Signature(metric=name, values=values))


def test_a_signature_is_of_its_own_metric_protocol_and_items(card: Scorecard) -> None:
    sound = score("BLEU-4").signature
    assert sound is not None
    values = dict(sound.values)
    assert claims(card, BLEU_4=signed("BLEU-4", **values)) == []
    for changed in (
        {"protocol": "coco"},
        {"items": "5"},
        {"version": "x"},
        {"tokenizer": ""},
        {"thinking": "on"},
        {"sigma": "6"},
    ):
        alone(claims(card, BLEU_4=signed("BLEU-4", **{**values, **changed})), "scores.BLEU-4.signature")
    alone(claims(card, BLEU_4=signed("ROUGE-L", **values)), "scores.BLEU-4.signature")
    alone(claims(card, BLEU_4=signed("BLEU-4", **dict(reversed(values.items())))), "scores.BLEU-4.signature")
    alone(claims(card, BLEU_4=ScoreEntry(value=20.0)), "scores.BLEU-4.signature")
    for name in values:
        less = {key: value for key, value in values.items() if key != name}
        alone(claims(card, BLEU_4=signed("BLEU-4", **less)), "scores.BLEU-4.signature")


def test_a_signature_says_how_its_model_thought(tmp_path: Path) -> None:
    record = made(tmp_path, thinking="high")
    thought = {name: score(name, thinking="high") for name in record.scorecard.scores}
    assert claims(record.scorecard, **thought) == []
    for entry in (score("CIDEr", thinking="low"), score("CIDEr")):
        alone(claims(record.scorecard, **{**thought, "CIDEr": entry}), "scores.CIDEr.signature")


def test_a_signature_says_what_its_input_follows_from(tmp_path: Path) -> None:
    record = made(tmp_path, processor_args={"videos.do_resize": False})
    line = record.settings.input
    assert line is not None
    told = {name: score(name, input=line) for name in record.scorecard.scores}
    assert claims(record.scorecard, **told) == []
    for entry in (score("CIDEr", input="uniform:8"), score("CIDEr")):
        alone(claims(record.scorecard, **{**told, "CIDEr": entry}), "scores.CIDEr.signature")


def test_a_scorecard_without_settings_is_of_no_thought(card: Scorecard) -> None:
    assert claims(card.model_copy(update={"settings": None})) == []
