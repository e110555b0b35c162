"""Runs scored in memory: nothing is on disk before `save`, and one that cannot be scored stands alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import Dataset, fingerprint, load
from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.options import ScoringOptions
from microg_bench.records import Answer, Failure
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import Counts, FailedStage, Scorecard, ServedModel
from microg_bench.scoring.predictions import read_predictions
from microg_bench.scoring.score import ScoredRun, as_layout, score_predictions, score_records
from microg_bench.slices import SMALLEST
from microg_bench.tasks import TASKS, items_of
from tests.helpers.datasets import QUESTIONS, record, write_annotations
from tests.helpers.runs import begun_run, content, open_run

OPTIONS = ScoringOptions(metrics=("ROUGE-L", "CIDEr"))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    records = [record(name, n) for n, name in enumerate(("a_001", "a_002", "b_001"))]
    return load(write_annotations(tmp_path / "refs.json", records))


def answer(name: str, text: str, **more: Any) -> Answer:
    return Answer(
        id=name, text=text, answer=text, frames=(1, 2), served_model="m", served_version="fp_1", **more
    )


@pytest.fixture
def run(dataset: Dataset, tmp_path: Path) -> Path:
    with open_run(tmp_path / "run", task="vqa", fingerprint=dataset.fingerprint) as one:
        one.add(
            answer("a_001#1", "Answer 0 about clip number 0."),
            answer("a_001#2", "  ", finish_reason="content_filter"),
            answer("a_002#1", "No.", finish_reason="refusal"),
            answer("b_001#1", "Answer 0 about", finish_reason="length"),
            Failure(id="a_002#2", stage="engine", reason="busy"),
        )
        one.note(rejected=["temperature"])
    return tmp_path / "run"


def scored(record: RunRecord, dataset: Dataset) -> ScoredRun:
    (found,) = score_records([record], OPTIONS, dataset)
    assert isinstance(found, ScoredRun)
    return found


def test_the_counts_tell_what_became_of_every_request(run: Path, dataset: Dataset) -> None:
    card = scored(RunRecord.read(run), dataset).scorecard
    assert card.counts == Counts(
        answered=4, failed=1, missing=1, empty=1, truncated=1, filtered=1, declined=1, flagged=3
    )
    assert card.failures == (FailedStage(stage="engine", count=1, reason="busy", frequency=1),)
    assert (card.items, card.complete, card.rejected) == (4, False, ("temperature",))
    assert "1 request failed and 1 item without a prediction" in card.status
    assert card.served == (ServedModel(name="m", version="fp_1", answers=4),)
    assert card.model is not None
    assert (str(card.model.frames), card.model.frame_count) == ("uniform:8", 2)
    assert list(card.baselines) == ["constant", "blind"]


def test_failures_are_told_by_stage_with_what_most_of_them_have_in_common(
    dataset: Dataset, tmp_path: Path
) -> None:
    reasons = {
        "a_001#1": "/data/a/a_001.mp4: cannot be opened",
        "a_001#2": "file:///data/a/a_001.mp4: cannot be opened",
        "a_002#1": "/home/somebody/a_002.mp4: cannot be opened",
        "a_002#2": "/home/somebody/a_002.mp4: has no frames",
    }
    with open_run(tmp_path / "run", task="vqa", fingerprint=dataset.fingerprint) as one:
        one.add(*(Failure(id=name, stage="decode", reason=text) for name, text in reasons.items()))
        one.add(Failure(id="b_001#1", stage="thinking", reason="still thinking at the limit of 8 tokens"))
    card = scored(RunRecord.read(tmp_path / "run"), dataset).scorecard
    assert list(card.doubts()) == [
        "4 of 6 requests failed (decode), 3 of them: ….mp4: cannot be opened",
        "1 of 6 requests failed (thinking): still thinking at the limit of 8 tokens",
    ]
    assert "somebody" not in card.model_dump_json()


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (["gpt-4o"], []),
        (["gpt-4o-2024-08-06"], []),
        (["gpt-9"], ["answered by gpt-9, not gpt-4o as asked: 4 of 4 answers"]),
        (
            ["gpt-4o-2024-08-06", "gpt-4o-2024-11-20"],
            ["the served model changed during the run: gpt-4o-2024-08-06 2, gpt-4o-2024-11-20 2 answers"],
        ),
        (
            ["gpt-4o", "gpt-4o-mini"],
            [
                "answered by gpt-4o-mini, not gpt-4o as asked: 2 of 4 answers",
                "the served model changed during the run: gpt-4o 2, gpt-4o-mini 2 answers",
            ],
        ),
    ],
)
def test_who_answered_is_told_where_it_is_another_than_who_was_asked(
    dataset: Dataset, tmp_path: Path, served: list[str], said: list[str]
) -> None:
    names = ("a_001", "a_002", "b_001")
    asked = {"engine": "openai", "checkpoint": "gpt-4o", "fingerprint": dataset.fingerprint}
    with open_run(tmp_path / "run", task="vqa", **asked) as one:
        one.add(
            *(
                Answer(id=f"{name}#{k}", text="x", answer="x", served_model=served[place % len(served)])
                for place, (name, k) in enumerate((name, k) for name in names[:2] for k in (1, 2))
            )
        )
    card = scored(RunRecord.read(tmp_path / "run"), dataset).scorecard
    assert [line for line in card.remarks() if "answers" in line] == said


def test_a_signature_holds_what_the_input_follows_from(dataset: Dataset, tmp_path: Path) -> None:
    stated = {"processor_args": {"videos.do_resize": False}, "fingerprint": dataset.fingerprint}
    for name, settings, told in (
        ("stated", stated, "uniform:8 videos.do_resize=false"),
        ("open", {"fingerprint": dataset.fingerprint}, None),
    ):
        with open_run(tmp_path / name, task="caption", **settings) as one:
            one.add(*(Answer(id=clip, text="a man", answer="a man") for clip in ("a_001", "b_001")))
        card = scored(RunRecord.read(tmp_path / name), dataset).scorecard
        signed = [entry.signature for entry in card.scores.values() if entry.signature]
        assert signed
        assert {entry.values.get("input") for entry in signed} == {told}


def test_a_signature_holds_how_much_the_model_thought(dataset: Dataset, tmp_path: Path) -> None:
    with open_run(tmp_path / "run", fingerprint=dataset.fingerprint, thinking="low") as one:
        one.add(Answer(id="a_001", text="a man", answer="a man"))
    card = scored(RunRecord.read(tmp_path / "run"), dataset).scorecard
    signed = [entry.signature for entry in card.scores.values() if entry.signature]
    assert {one.values["thinking"] for one in signed} == {"low"}
    begun_run(tmp_path / "none", fingerprint=dataset.fingerprint, thinking="low")
    card = scored(RunRecord.read(tmp_path / "none"), dataset).scorecard
    assert {entry.unavailable for entry in card.scores.values()} == {"no item was answered"}


def test_the_most_frames_of_an_answer_are_told(dataset: Dataset, tmp_path: Path) -> None:
    with open_run(tmp_path / "run", fingerprint=dataset.fingerprint) as one:
        for name, count in (("a_001", 3), ("a_002", 5), ("b_001", 4)):
            one.add(Answer(id=name, text="a man", answer="a man", frames=tuple(range(count))))
    card = scored(RunRecord.read(tmp_path / "run"), dataset).scorecard
    assert card.model is not None and card.model.frame_count == 5
    assert card.served == ()
    with open_run(tmp_path / "none", fingerprint=dataset.fingerprint) as one:
        one.add(Failure(id="a_001", stage="engine", reason="busy " * 100))
    card = scored(RunRecord.read(tmp_path / "none"), dataset).scorecard
    assert card.model is not None and card.model.frame_count is None
    assert len(card.failures[0].reason) <= 160
    assert card.status == (
        "incomplete: 1 request failed and 2 items without a prediction; not admissible to a leaderboard"
    )


def test_reasons_are_told_the_most_frequent_first_and_of_equal_ones_the_first_by_name(
    dataset: Dataset, tmp_path: Path
) -> None:
    told = [
        ("parse", "b"),
        ("parse", "a"),
        ("engine", "z"),
        ("engine", "z"),
        ("engine", "c"),
        ("decode", "d"),
    ]
    names = [f"{clip.video_id}#{k}" for clip in dataset.clips for k in (1, 2)]
    with open_run(tmp_path / "run", task="vqa", fingerprint=dataset.fingerprint) as one:
        for name, (stage, reason) in zip(names, told, strict=True):
            one.add(Failure.model_validate({"id": name, "stage": stage, "reason": reason}))
    card = scored(RunRecord.read(tmp_path / "run"), dataset).scorecard
    found = [(one.stage, one.count, one.reason, one.frequency) for one in card.failures]
    assert found == [("engine", 3, "z", 2), ("parse", 2, "a", 1), ("decode", 1, "d", 1)]


def test_intervals_over_source_videos_have_the_notes_on_these(tmp_path: Path) -> None:
    noted = load(write_annotations(tmp_path / "refs.json", [record(name) for name in ("clip1", "clip2")]))
    assert noted.source_notes
    with open_run(tmp_path / "run", fingerprint=noted.fingerprint) as one:
        one.add(*(answer(name, "a man") for name in ("clip1", "clip2")))
    for clusters, notes in (("source", noted.source_notes), ("clip", ())):
        options = ScoringOptions.of({"metrics": "ROUGE-L", "clusters": clusters})
        (found,) = score_records([RunRecord.read(tmp_path / "run")], options, noted, baselines=False)
        assert isinstance(found, ScoredRun)
        assert (found.scorecard.warnings, found.scorecard.baselines) == (notes, {})


def test_a_file_of_predictions_is_scored_with_what_it_lacks(dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    captions = {clip.video_id: clip.caption for clip in dataset.clips}
    file.write_text(json.dumps(captions))
    whole = score_predictions("caption", file, dataset, OPTIONS)
    assert (whole.counts, whole.status, whole.model) == (Counts(answered=3), "complete", None)
    assert whole.scores["ROUGE-L"].value == pytest.approx(100)
    assert list(whole.baselines) == ["constant", "blind"]
    for texts, said in (
        ({**captions, "x": "y"}, r"0 items without a prediction; 1 prediction of no item \(x\)"),
        ({"a_001": " ", "a_002": "b"}, r"1 item without a prediction \(b_001\); 0 predictions"),
    ):
        file.write_text(json.dumps(texts))
        with pytest.raises(DataError, match=said):
            score_predictions("caption", file, dataset, OPTIONS)
    part = score_predictions("caption", file, dataset, OPTIONS, allow_missing=True)
    assert part.counts == Counts(answered=2, missing=1, empty=1, flagged=1)
    assert part.status == "incomplete: 1 item without a prediction; not admissible to a leaderboard"
    rows = [{"video_id": name, "caption": "a"} for name in ("a_001", "a_001", "a_002", "b_001", "x")]
    file.write_text(json.dumps(rows))
    twice = score_predictions("caption", file, dataset, OPTIONS, allow_missing=True)
    assert twice.counts == Counts(answered=3, repeated=1, unknown=1)
    assert twice.complete


def test_a_change_of_the_served_version_is_told(dataset: Dataset, tmp_path: Path) -> None:
    asked = {"engine": "openai", "checkpoint": "gpt-4o", "fingerprint": dataset.fingerprint}
    with open_run(tmp_path / "run", task="vqa", **asked) as one:
        for name, version in (
            ("a_001#1", "fp_1"),
            ("a_001#2", "fp_2"),
            ("a_002#1", "fp_2"),
            ("a_002#2", None),
        ):
            one.add(Answer(id=name, text="x", answer="x", served_model="gpt-4o", served_version=version))
    card = scored(RunRecord.read(tmp_path / "run"), dataset).scorecard
    told = "the version of gpt-4o changed during the run: none told 1, fp_1 1, fp_2 2 answers"
    assert told in card.remarks()


def test_nothing_is_written_before_it_is_saved(run: Path, dataset: Dataset) -> None:
    before, record = content(run), RunRecord.read(run)
    found = scored(record, dataset)
    assert content(run) == before
    assert not record.is_scored
    found.save()
    assert set(content(run)) - set(before) == {"scorecard.json", "predictions.json", "statistics.npz"}
    assert record.is_scored
    fresh = RunRecord.read(run)
    assert fresh.scorecard == record.scorecard == found.scorecard
    assert fresh.item_scores() == record.item_scores()
    predictions = read_predictions(run / "predictions.json", "vqa", record.items(dataset))
    assert predictions.answers == {name: one.answer for name, one in record.answers.items()}


def test_answers_are_laid_out_as_published(dataset: Dataset) -> None:
    captions, questions = (items_of(TASKS[task], dataset.clips) for task in ("caption", "vqa"))
    assert as_layout("caption", captions, {"b_001": "x", "a_002": "y"}) == {"a_002": "y", "b_001": "x"}
    assert as_layout("vqa", questions, {"a_001#2": "x", "b_001#1": "y"}) == [
        {"video_id": "a_001", "qa_pairs": [{"Q": QUESTIONS[1], "A": "x"}]},
        {"video_id": "b_001", "qa_pairs": [{"Q": QUESTIONS[0], "A": "y"}]},
    ]


def test_the_same_run_scores_to_the_same_bytes(run: Path, dataset: Dataset) -> None:
    scored(RunRecord.read(run), dataset).save()
    once = content(run)
    scored(RunRecord.read(run), dataset).save()
    assert content(run) == once
    assert json.loads(once["scorecard.json"])["schema"] == "microg-bench/scorecard/2"


def test_a_run_that_cannot_be_scored_leaves_the_others_alone(
    run: Path, dataset: Dataset, tmp_path: Path
) -> None:
    begun_run(tmp_path / "elsewhere", task="vqa", fingerprint="other")
    begun_run(tmp_path / "damaged", task="vqa", fingerprint=dataset.fingerprint)
    (tmp_path / "damaged" / "journal.jsonl").write_text('{"id": "x"}\n{}\n')
    records = [RunRecord.read(tmp_path / name) for name in ("elsewhere", "run", "damaged")]
    elsewhere, sound, damaged = score_records(records, OPTIONS, dataset)
    assert isinstance(elsewhere, DataError)
    assert "give the right dataset with --data" in str(elsewhere)
    assert isinstance(damaged, RunError)
    assert "journal.jsonl: line 1: damaged" in str(damaged)
    assert isinstance(sound, ScoredRun)
    assert sound.scorecard == scored(records[1], dataset).scorecard


def many(folder: Path, actions: str | None) -> Dataset:
    """A dataset of more clips than the smallest slice has, half of which show an action that is labelled."""
    names = [f"{source}_{k:03d}" for source in "abcd" for k in range(SMALLEST // 2)]
    folder.mkdir()
    write_annotations(folder / "vqa_and_captioning.json", [record(name, n) for n, name in enumerate(names)])
    if actions is not None:
        lines = [f"{name},r,1,{12 if k % 2 else actions}" for k, name in enumerate(names)]
        (folder / "actions.csv").write_text("\n".join(["video_id,movie_or_real,person_id,action", *lines]))
    return load(folder)


def cards_of(folder: Path, dataset: Dataset, **options: Any) -> Scorecard:
    chosen = ScoringOptions(metrics=("ROUGE-L",), **options)
    with open_run(folder, task="caption", fingerprint=dataset.fingerprint) as one:
        one.add(*(answer(clip.video_id, "A clip.") for clip in dataset.clips))
    (found,) = score_records([RunRecord.read(folder)], chosen, dataset, baselines=False)
    assert isinstance(found, ScoredRun)
    return found.scorecard


def test_scores_are_sliced_by_the_action_labels_beside_the_dataset(tmp_path: Path) -> None:
    dataset = many(tmp_path / "d", actions="17")
    card = cards_of(tmp_path / "r", dataset)
    assert set(card.slices["action"]) == {"stand", "carry/hold (an object)"}
    assert (list(card.slices["footage"]), list(card.slices["people"])) == (["real"], ["1"])
    assert card.slices["action"]["stand"].differences
    assert card.action_labels is not None
    assert dataset.actions is not None
    elsewhere = dataset.actions.rename(tmp_path / "labels.csv")
    bare = load(tmp_path / "d")
    assert cards_of(tmp_path / "bare", bare).slices.keys() == {"source"}
    named = cards_of(tmp_path / "named", bare, actions=str(elsewhere))
    assert (named.slices, named.action_labels) == (card.slices, card.action_labels)


@pytest.mark.parametrize(("clips", "kinds"), [(SMALLEST, {"action", "source"}), (SMALLEST - 1, {"source"})])
def test_labels_are_read_where_there_are_enough_clips_for_a_slice(
    tmp_path: Path, clips: int, kinds: set[str]
) -> None:
    dataset = many(tmp_path / "d", actions="12")
    part = replace(dataset, clips=dataset.clips[:clips])
    card = cards_of(tmp_path / "r", replace(part, fingerprint=fingerprint(part.clips)))
    assert kinds <= card.slices.keys()
    assert (card.action_labels is not None) == ("action" in kinds)


def test_labels_that_cannot_be_read_are_an_error_only_where_they_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = many(tmp_path / "d", actions="99")
    card = cards_of(tmp_path / "r", dataset)
    assert (list(card.slices), card.action_labels) == (["source"], None)
    assert "row 2: action id 99" in caplog.text
    with pytest.raises(DataError, match="row 2: action id 99"):
        cards_of(tmp_path / "named", dataset, actions=str(dataset.actions))


def test_a_table_of_actions_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="--actions: no such file"):
        ScoringOptions.of({"actions": "nowhere.csv"})
