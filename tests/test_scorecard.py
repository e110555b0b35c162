"""What a scorecard says of itself: what its scores rest on, and whether to rely on them."""

import hashlib
from typing import Any

import pytest

from microg_bench.abstention import Confidence, Share
from microg_bench.dataset.load import load
from microg_bench.scorecard import (
    FEW,
    NO_BENCHMARK,
    SAMPLE_FINGERPRINT,
    Abstention,
    Counts,
    FailedStage,
    IntervalEntry,
    Scorecard,
    ScoreEntry,
    ServedModel,
    Signature,
)
from microg_bench.settings import Media
from tests.helpers.cards import make_card, signature, with_settings
from tests.helpers.runs import make_settings


def test_the_sample_set_is_known_by_its_references() -> None:
    sample = load("sample")
    assert sample.fingerprint == SAMPLE_FINGERPRINT
    assert f"{len(sample.clips)} clips" in NO_BENCHMARK
    card = make_card(fingerprint=SAMPLE_FINGERPRINT, dataset="by another name")
    assert not card.is_benchmark
    assert next(card.remarks()) == NO_BENCHMARK
    assert make_card(dataset="sample").is_benchmark


@pytest.mark.parametrize(
    ("counts", "doubted"),
    [
        (Counts(), False),
        (Counts(answered=98), False),
        (Counts(answered=98, truncated=48, flagged=48), False),
        (Counts(answered=98, truncated=49, flagged=49), True),
        (Counts(answered=98, empty=30, declined=30, flagged=60), True),
        (Counts(answered=98, empty=30, truncated=30, flagged=30), False),  # the same ones are both
        (Counts(answered=50, failed=48), False),
        (Counts(answered=50, failed=50), True),
        (Counts(failed=1), True),
        (Counts(answered=1, missing=97), False),
    ],
)
def test_scores_are_doubted_where_half_is_no_answer(counts: Counts, doubted: bool) -> None:
    assert bool(list(make_card(counts=counts).doubts())) == doubted


def test_counts_are_said_in_words() -> None:
    counts = Counts(answered=98, empty=1, truncated=98, filtered=2, declined=1, thoughts=3, repeated=4)
    assert list(make_card(counts=counts).remarks()) == [
        "1 of 98 answers is empty",
        "98 of 98 answers hit the token limit; raise --max-tokens",
        "2 of 98 answers were stopped by the vendor's content filter",
        "1 of 98 answers was declined by the model",
        "3 of 98 answers look like thinking, not like an answer",
        "repeated predictions, which a later one of the same item replaces: 4",
    ]


def test_failures_are_told_even_where_their_reasons_are_not_known() -> None:
    counts = Counts(answered=86, failed=12)
    assert list(make_card(counts=counts).remarks()) == ["12 of 98 requests failed"]
    stage = FailedStage(stage="thinking", count=12, reason="still thinking", frequency=12)
    card = make_card(counts=counts, failures=(stage,))
    assert list(card.remarks()) == ["12 of 98 requests failed (thinking): still thinking"]


def test_a_path_that_was_asked_for_is_not_told() -> None:
    served = (ServedModel(name="other", answers=90, expected=False),)
    card = with_settings(make_card(served=served), checkpoint="/home/somebody/weights")
    assert list(card.remarks()) == ["answered by other, not weights as asked: 90 of 90 answers"]


def test_notes_of_scores_are_remarks() -> None:
    entry = ScoreEntry(value=0.0, notes=("can only be 0 here: one item",))
    assert list(make_card(scores={"CIDEr": entry}).remarks()) == ["CIDEr: can only be 0 here: one item"]


def test_requests_are_those_answered_failed_and_missing() -> None:
    counts = Counts(answered=100, failed=20, missing=3, unknown=1000, repeated=1000, empty=50)
    assert counts.requests == 123


def test_half_is_most_and_none_of_nothing_is_not() -> None:
    assert not Counts().mostly_failed and not Counts().mostly_flagged
    assert Counts(answered=1, failed=1).mostly_failed and not Counts(answered=2, failed=1).mostly_failed
    assert Counts(answered=2, flagged=1).mostly_flagged and not Counts(answered=3, flagged=1).mostly_flagged
    assert set(Counts().model_dump().values()) == {ServedModel(name="m").answers} == {0}


def test_a_signature_is_written_whole_and_short() -> None:
    full = {"protocol": "paper", "idf": "no", "dtype": "float16", "x": "1", "items": "90", "version": "1"}
    one = Signature(metric="BERTScore", values=full)
    assert one.long() == "BERTScore|protocol:paper|idf:no|dtype:float16|x:1|items:90|version:1"
    assert one.short() == str(one) == "BERTScore|p:paper|d:float16|n:90|v:1"


def test_a_short_signature_holds_a_hash_of_the_input() -> None:
    one = signature("CIDEr", input="uniform:9 videos.do_resize=false")
    assert "|input:uniform:9 videos.do_resize=false" in one.long()
    digest = hashlib.sha256(b"uniform:9 videos.do_resize=false").hexdigest()[:8]
    assert str(one) == f"CIDEr|p:paper|n:90|i:{digest}|v:1"


def test_scores_are_alike_however_the_answers_were_got() -> None:
    one = signature("CIDEr")
    assert one.alike(signature("CIDEr", thinking="on"))
    assert signature("CIDEr", thinking="on").computed() == one
    assert one.alike(signature("CIDEr", input="uniform:9 videos.do_resize=false"))
    assert not one.alike(signature("CIDEr", items="91"))
    assert not one.alike(signature("BLEU-4"))


@pytest.mark.parametrize(
    ("other", "apart"),
    [
        (signature("CIDEr"), []),
        (signature("CIDEr", version="2"), ["version:1"]),
        (signature("CIDEr", items="91"), None),
        (signature("CIDEr", items="91", version="2"), None),
        (signature("CIDEr", torch="2"), None),  # a part more
        (signature("BLEU-4"), None),
        (Signature(metric="CIDEr", values={"items": "90", "protocol": "paper", "version": "1"}), None),
    ],
)
def test_versions_are_apart_only_where_all_else_is_the_same(
    other: Signature, apart: list[str] | None
) -> None:
    assert signature("CIDEr").versions_apart(other) == apart


def test_every_version_that_is_apart_is_named() -> None:
    one, other = (signature("S-VQA", torch=name, transformers=name) for name in ("2", "3"))
    assert one.versions_apart(other) == ["torch:2", "transformers:2"]


@pytest.mark.parametrize(
    ("items", "counts", "extent"),
    [
        (98, Counts(answered=98), "98 items"),
        (86, Counts(answered=86, failed=2, missing=10), "86 of 98 items"),
        (1, Counts(answered=1), "1 item"),
        (0, Counts(failed=1), "0 of 1 item"),
        (1234, Counts(), "1,234 items"),
        (1, Counts(), "1 item"),
    ],
)
def test_the_extent_is_how_many_were_scored_of_all(items: int, counts: Counts, extent: str) -> None:
    assert make_card(items=items, counts=counts).extent == extent


def interval(**changed: object) -> IntervalEntry:
    values = {"level": 0.95, "clusters": "source", "cluster_count": FEW, "resamples": 1000, "seed": 0}
    return IntervalEntry.model_validate({**values, **changed})


def test_intervals_are_noted_and_so_are_those_that_are_lacking() -> None:
    bounds = (1.0, 2.0)
    assert list(interval(clusters="all").notes({"CIDEr": bounds})) == []
    (note,) = interval().notes({"CIDEr": bounds})
    assert f"1,000 resamples of {FEW} source videos" in note and "fewer than" not in note
    assert FEW == 20
    (note,) = interval(cluster_count=FEW - 1, clusters="clip").notes({"CIDEr": bounds})
    assert f"{FEW - 1} clips" in note and f"fewer than {FEW}" in note
    _, without = interval().notes({"CIDEr": bounds, "METEOR": None, "BLEU-4": None})
    assert "METEOR, BLEU-4" in without and "CIDEr" not in without
    (without,) = interval().notes({"CIDEr": None})
    assert "CIDEr" in without


def test_scores_without_a_value_lack_no_interval() -> None:
    card = make_card(interval=interval(), scores={"CIDEr": ScoreEntry(unavailable="x")})
    assert list(card.interval_notes()) == []
    assert list(make_card().interval_notes()) == []
    assert len(list(make_card(interval=interval()).interval_notes())) == 1


def test_rates_of_abstention_are_noted_where_there_are_such_questions() -> None:
    both = Abstention(unanswerable=10, answerable=80, rate_on_unanswerable=0.25, rate_on_answerable=0.0)
    first, second = both.notes()
    assert "25.0% of the 10 unanswerable" in first
    assert "0.0% of the 80 answerable" in second
    one = Abstention(unanswerable=0, answerable=80, rate_on_unanswerable=None, rate_on_answerable=0.5)
    (only,) = one.notes()
    assert "50.0% of the 80 answerable" in only
    card = make_card(abstention=one, warnings=("look here",), interval=interval())
    assert [*card.notes()] == [only, *card.interval_notes(), "look here"]


def test_the_details_of_abstention_are_noted_where_they_are_known() -> None:
    share = Share(value=0.5, interval=(0.25, 0.75))
    confidence = Confidence(
        items=1200,
        right=share,
        right_from=50.0,
        risk_coverage=((1.0, 0.5),),
        area=Share(value=0.125),
        bins=10,
        calibration_error=share,
    )
    rates = {"unanswerable": 4, "answerable": 0, "rate_on_unanswerable": None, "rate_on_answerable": None}
    assert list(Abstention.model_validate(rates).notes()) == []
    one = Abstention.model_validate(
        {**rates, "F1": share, "recall": Share(value=1), "confidence": confidence}
    )
    words, confident = one.notes()
    assert words == '"Not mentioned.": F1 0.500 (0.250–0.750), recall 1.000'
    assert "1,200 answers" in confident and "0.125" in confident and "10 bins" in confident
    assert "ROUGE-L 50: 0.500 (0.250–0.750)" in confident


def test_a_failed_stage_tells_how_often_its_most_frequent_reason_was() -> None:
    some = FailedStage(stage="engine", count=12, reason="busy", frequency=7)
    assert "12 of 1,098" in some.words(1098) and ", 7 of them" in some.words(1098)
    every = some.model_copy(update={"frequency": 12})
    assert "of them" not in every.words(1098)


def served(*models: tuple[str, str | None, int]) -> Scorecard:
    found = tuple(ServedModel(name=name, version=version, answers=n) for name, version, n in models)
    return make_card(served=found)


def test_models_that_took_turns_are_told_with_their_answers() -> None:
    assert list(served(("m", "1", 90)).remarks()) == []
    (names,) = served(("m", "1", 60), ("n", "1", 30)).remarks()
    assert "m 60, n 30" in names
    (versions,) = served(("m", "1", 60), ("m", None, 30)).remarks()
    assert "version of m" in versions and "1 60, none told 30" in versions
    names, versions = served(("m", "1", 60), ("m", "2", 20), ("n", None, 10)).remarks()
    assert "m 80, n 10" in names
    assert "1 60, 2 20" in versions


def test_an_unexpected_model_is_told_with_all_its_answers() -> None:
    other = tuple(ServedModel(name="n", version=v, answers=40, expected=False) for v in ("1", "2"))
    card = with_settings(make_card(served=other), checkpoint="org/asked")
    assert next(card.remarks()) == "answered by n, not org/asked as asked: 80 of 90 answers"


def test_what_must_be_read_first_comes_first() -> None:
    assert list(make_card().headlines()) == []
    counts = Counts(answered=98, truncated=98, empty=1, flagged=98)
    card = make_card(status="1 of 99 is missing", counts=counts)
    status, empty, cut, together = card.headlines()
    assert status == "1 of 99 is missing"
    assert "1 of 98" in empty and "98 of 98" in cut and "98 of 98" in together
    only = make_card(counts=Counts(answered=98, truncated=98, flagged=98))
    assert len(list(only.headlines())) == 1


def test_remarks_tell_everything_that_sets_a_row_apart() -> None:
    counts = Counts(answered=90, missing=8, unknown=2)
    scores = {"CIDEr": ScoreEntry(value=1.0, unverified=True), "METEOR": ScoreEntry(unavailable="no Java")}
    card = make_card(counts=counts, scores=scores, rejected=("top_p",))
    unverified, missing, unknown, rejected, unavailable = card.remarks()
    assert unverified == card.unverified and "CIDEr" in unverified and "METEOR" not in unverified
    assert "8 of 98" in missing and unknown.endswith("2") and "top_p" in rejected
    assert unavailable == "METEOR: no Java"
    assert make_card().unverified == ""


@pytest.mark.parametrize(
    ("engine", "kind", "told"),
    [("server", "images", True), ("server", "video", False), ("openai", "images", False)],
)
def test_a_clip_that_a_server_got_as_images_is_marked(engine: str, kind: Any, told: bool) -> None:
    settings = make_settings(engine=engine, media=Media(kind=kind, jpeg_quality=90))
    remarks = list(make_card(settings=settings).remarks())
    said = "each frame was sent as an image of its own, not the clip as one video"
    assert remarks == ([said] if told else [])


def test_a_scorecard_without_a_model_is_of_predictions() -> None:
    card = make_card(title="A model", frames=8)
    assert (card.title, card.frames, card.complete) == ("A model", "8", True)
    bare = make_card(model=None, status="not complete")
    assert (bare.title, bare.frames, bare.complete) == ("predictions", "–", False)
    assert Scorecard.model_validate(card.to_json()) == card
    assert card.values() == {name: entry.value for name, entry in card.scores.items()}
