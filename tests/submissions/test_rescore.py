"""What holds of a claimed scorecard beside the one that was computed again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from microg_bench.abstention import Share
from microg_bench.dataset.load import Dataset, fingerprint
from microg_bench.errors import MicrogError
from microg_bench.options import ScoringOptions
from microg_bench.records import Answer, Clip
from microg_bench.runs.migration import SCORECARD_SCHEMA_1
from microg_bench.runs.record import SCORECARD_FILE, RunRecord
from microg_bench.scorecard import (
    SAMPLE_FINGERPRINT,
    SCORECARD_SCHEMA,
    Abstention,
    Counts,
    FailedStage,
    IntervalEntry,
    Scorecard,
    ServedModel,
)
from microg_bench.scoring.intervals import METHOD
from microg_bench.slices import SliceDifference, SliceEntry
from microg_bench.submissions.load import RunSubmission, Submission
from microg_bench.submissions.rescore import (
    Outcome,
    Recomputed,
    claimed_options,
    compared,
    dataset_name,
    from_answers,
    told,
)
from tests.helpers.cards import make_card, signature
from tests.helpers.runs import open_run

INTERVAL = IntervalEntry(
    method=METHOD, level=0.95, clusters="source", cluster_count=30, resamples=1000, seed=0
)
ABSTENTION = Abstention(unanswerable=20, answerable=70, rate_on_unanswerable=0.5, rate_on_answerable=0.1)
OURS = make_card(interval=INTERVAL, abstention=ABSTENTION)


def changed(card: Scorecard, *path: str | int, to: Any) -> Scorecard:
    """The scorecard with another value at a place of its JSON."""
    content = inner = card.to_json()
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = to
    return Scorecard.model_validate(content)


def at(card: Scorecard, *path: str | int) -> Any:
    """The value at a place of its JSON."""
    found: Any = card.to_json()
    for part in path:
        found = found[part]
    return found


def against(claimed: Scorecard, ours: Scorecard = OURS, schema: str = SCORECARD_SCHEMA) -> Outcome:
    return compared(Submission(claimed, {SCORECARD_FILE: {"schema": schema}}), ours)


def places(found: Outcome) -> list[str]:
    """Where each problem is."""
    start, end = "scorecard.json claims ", " = "
    assert all(line.startswith(start) for line in found.problems)
    return [line.removeprefix(start).partition(end)[0] for line in found.problems]


def test_a_true_claim_is_shown_as_it_is() -> None:
    found = against(OURS)
    assert (found.problems, found.notes) == ([], [])
    assert found.scorecard == OURS


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("path", "most"),
    [
        (("scores", "CIDEr", "value"), 1e-6),
        (("scores", "METEOR", "value"), 1e-6),
        (("scores", "S-VQA", "value"), 0.02),
        (("scores", "BERTScore", "value"), 0.02),
        (("scores", "BERTScore", "interval", 1), 0.02),
        (("scores", "CIDEr", "interval", 0), 1e-6),
        (("scores", "CIDEr", "interval", 1), 1e-6),
        (("baselines", "blind", "scores", "CIDEr"), 1e-6),
        (("slices", "source", "QvTmdIhYnes", "scores", "ROUGE-L"), 1e-6),
        (("abstention", "rate_on_unanswerable"), 1e-6),
    ],
)
def test_a_number_may_be_apart_by_its_tolerance_and_no_more(
    path: tuple[str | int, ...], most: float, sign: int
) -> None:
    value = at(OURS, *path)
    near = against(changed(OURS, *path, to=value + sign * 0.9 * most))
    assert (near.problems, near.notes) == ([], [])
    far = against(changed(OURS, *path, to=value + sign * 1.1 * most))
    assert places(far) == [".".join(part for part in path if isinstance(part, str))]


def test_of_a_claim_within_its_tolerance_nothing_is_shown() -> None:
    claim = OURS.scores["S-VQA"].value or 0.0
    found = against(changed(OURS, "scores", "S-VQA", "value", to=claim + 0.01))
    assert found.problems == []
    assert found.scorecard.scores == OURS.scores


def test_no_number_is_near_nan() -> None:
    claim = OURS.model_copy(
        update={
            "scores": {**OURS.scores, "CIDEr": OURS.scores["CIDEr"].model_copy(update={"value": math.nan})}
        }
    )
    assert places(against(claim)) == ["scores.CIDEr.value"]


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("status",), "2 of 90 failed"),
        (("items",), 89),
        (("counts", "answered"), 91),
        (("counts", "truncated"), 1),
        (("counts", "flagged"), 1),
        (("rejected",), ["top_p"]),
        (("recipe",), "of their own"),
        (("model", "title"), "Another"),
        (("model", "frame_count"), 9),
        (("protocol",), "coco"),
        (("warnings",), ["something"]),
        (("interval", "cluster_count"), 31),
        (("interval", "seed"), 1),
        (("abstention", "unanswerable"), 21),
        (("abstention", "rate_on_answerable"), None),
        (("slices", "source", "QvTmdIhYnes", "items"), 28),
        (("baselines", "blind", "title"), "Another"),
        (("scores", "CIDEr", "notes"), ["cut"]),
        (("scores", "CIDEr", "interval"), None),
        (("fingerprint",), "e" * 64),
        (("baselines",), {}),
    ],
)
def test_whatever_the_answers_do_not_give_is_refused(path: tuple[str, ...], to: Any) -> None:
    (place,) = places(against(changed(OURS, *path, to=to)))
    assert place.split(".")[: len(path)] == list(path)


def test_what_failed_is_compared_stage_by_stage() -> None:
    stage = FailedStage(stage="engine", count=2, reason="busy", frequency=2)
    ours = OURS.model_copy(update={"failures": (stage,)})
    assert places(against(ours, ours)) == []
    assert places(against(changed(ours, "failures", 0, "count", to=1), ours)) == ["failures.count"]
    assert places(against(OURS, ours)) == ["failures"]


def test_which_served_models_were_expected_is_not_compared_but_how_much_they_answered_is() -> None:
    served = ServedModel(name="m", answers=90)
    ours = OURS.model_copy(update={"served": (served,)})
    unexpected = OURS.model_copy(update={"served": (served.model_copy(update={"expected": False}),)})
    assert places(against(unexpected, ours)) == []
    fewer = OURS.model_copy(update={"served": (served.model_copy(update={"answers": 89}),)})
    assert places(against(fewer, ours)) == ["served.answers"]


def test_what_schema_1_did_not_hold_is_no_difference_in_it() -> None:
    ours = OURS.model_copy(update={"counts": Counts(answered=90, truncated=3, flagged=3)})
    assert places(against(OURS, ours, SCORECARD_SCHEMA_1)) == []
    assert places(against(OURS, ours)) == ["counts.truncated", "counts.flagged"]
    lower = changed(OURS, "scores", "CIDEr", "value", to=19.0)
    assert places(against(lower, ours, SCORECARD_SCHEMA_1)) == ["scores.CIDEr.value"]


SLICE = SliceEntry(
    items=30,
    scores={"CIDEr": 20.0},
    sources=4,
    intervals={"CIDEr": (10.0, 30.0)},
    differences={"CIDEr": SliceDifference(value=2.0, p=0.02, corrected=0.2)},
)
SLICED = OURS.model_copy(
    update={
        "slices": {"action": {"stand": SLICE}, "question_word": {"who": SLICE}},
        "action_labels": "a" * 64,
    }
)


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("sources",), 5),
        (("intervals", "CIDEr"), [11.0, 30.0]),
        (("intervals",), {}),
        (("differences", "CIDEr", "value"), 3.0),
        (("differences", "CIDEr", "p"), 0.01),
        (("differences",), {}),
    ],
)
def test_the_details_of_slices_are_compared(path: tuple[str, ...], to: Any) -> None:
    assert against(SLICED, SLICED).problems == []
    for kind, label in (("action", "stand"), ("question_word", "who")):
        (place,) = places(against(changed(SLICED, "slices", kind, label, *path, to=to), SLICED))
        assert place.startswith(".".join(["slices", kind, label, *path]))


def test_slices_of_versions_without_details_are_compared_by_their_scores() -> None:
    plain = SliceEntry(items=30, scores={"CIDEr": 20.0})
    claim = SLICED.model_copy(
        update={"slices": {"action": {"stand": plain}, "question_word": {"who": plain}}}
    )
    assert against(claim, SLICED).problems == []
    lower = changed(claim, "slices", "action", "stand", "scores", "CIDEr", to=19.0)
    assert places(against(lower, SLICED)) == ["slices.action.stand.scores.CIDEr"]


def test_what_baselines_reach_within_slices_is_compared_where_the_claim_tells_it() -> None:
    told = {"action": {"stand": {"CIDEr": 5.0}}, "question_word": {"who": {"CIDEr": 6.0}}}
    ours = changed(SLICED, "baselines", "blind", "slices", to=told)
    assert against(ours, ours).problems == []
    assert against(SLICED, ours).problems == []
    place = ("baselines", "blind", "slices", "question_word", "who", "CIDEr")
    assert places(against(changed(ours, *place, to=6.1), ours)) == [".".join(place)]
    by_label = changed(ours, "baselines", "blind", "slices", "action", "stand", "CIDEr", to=4.0)
    assert places(against(by_label, ours)) == ["baselines.blind.slices.action.stand.CIDEr"]
    assert against(changed(by_label, "action_labels", to=None), ours).problems == []
    assert places(against(changed(ours, "baselines", "blind", "slices", "who", to={}), ours)) == [
        "baselines.blind.slices.who"
    ]


@pytest.mark.parametrize("labels", [None, "b" * 64])
def test_slices_by_other_action_labels_are_replaced_and_told(labels: str | None) -> None:
    claim = changed(SLICED, "action_labels", to=labels)
    claim = changed(claim, "slices", "action", "stand", "items", to=31)
    claim = changed(claim, "slices", "question_word", "who", "differences", "CIDEr", "corrected", to=0.1)
    found = against(claim, SLICED)
    assert (found.problems, len(found.notes)) == ([], 1)
    assert "action labels" in found.notes[0]
    assert found.scorecard.slices == SLICED.slices
    other = changed(claim, "slices", "question_word", "who", "items", to=31)
    assert places(against(other, SLICED)) == ["slices.question_word.who.items"]


def test_the_details_of_abstention_are_compared_where_the_claim_has_any() -> None:
    share = Share(value=0.5, interval=(0.25, 0.75))
    known = ABSTENTION.model_copy(update={"F1": share, "precision": share, "recall": share})
    ours = SLICED.model_copy(update={"abstention": known})
    higher = changed(ours, "abstention", "F1", "value", to=0.6)
    assert places(against(higher, ours)) == ["abstention.F1.value"]
    assert places(against(SLICED, ours)) == [f"abstention.{name}" for name in ("precision", "recall", "F1")]
    wide = changed(ours, "abstention", "F1", "interval", to=[0.25, 1.0])
    assert places(against(wide, ours)) == ["abstention.F1.interval"]
    assert against(changed(wide, "interval", "clusters", to="clip"), ours).problems == []
    assert against(OURS, OURS.model_copy(update={"abstention": known})).problems == []


def test_intervals_of_slices_are_compared_only_where_they_are_of_one_kind() -> None:
    claim = changed(SLICED, "interval", "clusters", to="clip")
    claim = changed(claim, "slices", "action", "stand", "intervals", to={})
    assert against(claim, SLICED).problems == []


def test_signatures_may_differ_in_versions_and_in_nothing_else() -> None:
    values = ("scores", "CIDEr", "signature", "values")
    older = against(changed(OURS, *values, "version", to="0"))
    assert (older.problems, len(older.notes)) == ([], 1)
    assert "version:0" in older.notes[0]
    assert older.scorecard.scores["CIDEr"].signature == signature("CIDEr", version="1")
    assert places(against(changed(OURS, *values, "items", to="91"))) == ["scores.CIDEr.signature"]
    assert places(against(changed(OURS, "scores", "CIDEr", "signature", to=None))) == [
        "scores.CIDEr.signature"
    ]
    unsigned = changed(OURS, "scores", "CIDEr", "signature", to=None)
    assert places(against(OURS, unsigned)) == ["scores.CIDEr.signature"]
    assert places(against(unsigned, unsigned)) == []


def test_a_score_that_cannot_be_computed_here_stays_an_unverified_claim() -> None:
    reason = "no encoder"
    ours = changed(OURS, "scores", "CIDEr", to={"unavailable": reason})
    ours = changed(ours, "baselines", "blind", "scores", to={"BLEU-4": 14.0})
    for kind in OURS.slices:
        for name in OURS.slices[kind]:
            scores = at(OURS, "slices", kind, name, "scores")
            del scores["CIDEr"]
            ours = changed(ours, "slices", kind, name, "scores", to=scores)
    found = against(OURS, ours)
    assert found.problems == []
    (note,) = found.notes
    assert "CIDEr" in note and reason in note
    shown, claim = found.scorecard.scores["CIDEr"], OURS.scores["CIDEr"]
    assert (shown.value, shown.interval, shown.unverified) == (claim.value, claim.interval, True)
    assert shown.signature == claim.signature
    assert [name for name, one in found.scorecard.scores.items() if one.unverified] == ["CIDEr"]
    assert places(against(changed(OURS, "scores", "METEOR", "value", to=1.0), ours)) == [
        "scores.METEOR.value"
    ]

    other = changed(OURS, "interval", "clusters", to="clip")
    assert against(other, ours).scorecard.scores["CIDEr"].interval is None


def test_a_score_that_was_not_claimed_is_ours() -> None:
    claim = changed(OURS, "scores", "CIDEr", to={"unavailable": "no encoder"})
    found = against(claim)
    assert found.problems == []
    assert found.scorecard.scores["CIDEr"] == OURS.scores["CIDEr"]


@pytest.mark.parametrize(
    "other", [{"method": "percentile"}, {"clusters": "clip"}, {"clusters": "all"}], ids=str
)
def test_intervals_of_another_kind_are_replaced_and_told(other: dict[str, str]) -> None:
    claim = changed(OURS, "scores", "CIDEr", "interval", to=[0.0, 99.0])
    for name, value in other.items():
        claim = changed(claim, "interval", name, to=value)
    found = against(claim)
    assert (found.problems, len(found.notes)) == ([], 1)
    assert next(iter(other.values())) in found.notes[0]
    assert found.scorecard.scores == OURS.scores
    assert found.scorecard.interval == INTERVAL
    low = changed(claim, "scores", "CIDEr", "value", to=19.0)
    assert places(against(low)) == ["scores.CIDEr.value"]


def test_a_claim_without_intervals_is_not_let_in_beside_ours() -> None:
    assert places(against(changed(OURS, "interval", to=None))) == ["interval"]
    without = changed(OURS, "interval", to=None)
    assert places(against(without, without)) == []


def test_references_are_named_by_what_they_are() -> None:
    assert dataset_name(SAMPLE_FINGERPRINT, "mine") == "sample"
    assert dataset_name("e" * 64, "mine") == "mine"
    assert "e" * 12 in dataset_name("e" * 64)
    claim = OURS.model_copy(update={"dataset": "microg-4m"})
    assert against(claim).scorecard.dataset == OURS.dataset


def test_a_claim_is_scored_as_it_says_but_over_source_videos() -> None:
    card = changed(OURS, "protocol", to="coco")
    options, baselines = claimed_options(card, ScoringOptions(clusters="clip", protocol="paper"))
    assert (options.protocol, options.clusters, baselines) == ("coco", "source", True)
    assert options.metrics == tuple(card.scores)
    assert not claimed_options(changed(card, "baselines", to={}), ScoringOptions())[1]


def test_answers_are_scored_again_and_the_error_of_one_run_is_its_own(tmp_path: Path) -> None:
    clips = [Clip(video_id=name, source=name, caption=f"a pen floats by {name}") for name in ("a", "b")]
    data = Dataset("refs", tuple(clips), fingerprint(clips))
    records = []
    for name, references in (("sound", data.fingerprint), ("other", "e" * 64)):
        with open_run(tmp_path / name, fingerprint=references, dataset="refs") as record:
            for clip in clips:
                text = clip.caption or ""
                record.add(Answer(id=clip.video_id, text=text, answer=text, frames=tuple(range(8))))
        records.append(RunRecord.read(tmp_path / name))
    sound, other = from_answers(records, data, ScoringOptions(metrics=("ROUGE-L",)), baselines=False)
    assert isinstance(sound, Recomputed)
    assert sound.scorecard.values() == {"ROUGE-L": 100.0}
    assert sound.statistics is not None
    assert sound.statistics.ids == ("a", "b")
    assert isinstance(other, MicrogError)


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    """A run of two answers, of which one is empty, with a claimed scorecard of schema 2."""
    with open_run(tmp_path / "r", fingerprint="f" * 64) as record:
        for name, text in (("a", "A man."), ("b", "")):
            record.add(Answer(id=name, text=text, answer=text, frames=tuple(range(8))))
    found = RunRecord.read(tmp_path / "r")
    found.scorecard = make_card(task="caption", items=2, counts=Counts(answered=2, empty=1, flagged=1))
    found.scorecard = found.scorecard.model_copy(update={"model": unscored(found).scorecard.model})
    return found


def unscored(run: RunRecord, schema: str = SCORECARD_SCHEMA) -> Outcome:
    return told(RunSubmission(run.scorecard, {SCORECARD_FILE: {"schema": schema}}, run))


def test_without_references_the_claims_are_shown_as_unverified(run: RunRecord) -> None:
    claimed = run.scorecard
    found = unscored(run)
    assert (found.problems, found.notes) == ([], [])
    assert found.scorecard.counts == claimed.counts
    assert found.scorecard.items == 2
    assert found.scorecard.values() == claimed.values()
    assert all(one.unverified and one.interval is None for one in found.scorecard.scores.values())
    assert all(
        one.signature == claimed.scores[name].signature for name, one in found.scorecard.scores.items()
    )
    assert not found.scorecard.baselines and not found.scorecard.slices
    assert "f" * 12 in found.scorecard.dataset


def test_without_references_what_the_answers_tell_is_compared(run: RunRecord) -> None:
    claimed = run.scorecard
    run.scorecard = claimed.model_copy(update={"counts": Counts(answered=2)})
    assert places(unscored(run)) == ["counts.empty", "counts.flagged"]
    assert places(unscored(run, SCORECARD_SCHEMA_1)) == ["counts.empty"]
    run.scorecard = claimed.model_copy(update={"items": 3})
    assert places(unscored(run)) == ["items"]
    run.scorecard = changed(claimed, "scores", "CIDEr", "value", to=None)
    assert "CIDEr" not in unscored(run).scorecard.scores
