"""Journals about persons, written by hand, as detections and scorecards; `test_answers.py` asks a server."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.dataset.labels import shipped_labels
from microg_bench.dataset.load import load
from microg_bench.errors import DataError, RunError
from microg_bench.har.answers import (
    NOTHING_NAMED,
    ScoredPersons,
    as_detections,
    asked_of,
    file_name,
    read_asked,
    score_answers,
)
from microg_bench.options import ScoringOptions
from microg_bench.persons.answers import scores_in
from microg_bench.persons.dataset import ActionDataset, load_actions
from microg_bench.records import Answer, Failure
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import ACTION_SCORES
from microg_bench.tasks import TASKS, items_of
from tests.helpers.runs import open_run
from tests.helpers.tables import with_har

STAND, WALK, CARRY = "stand", "walk", "carry/hold (an object)"
TALK = "talk to (e.g., self, a person, a group)"
# What is said of the six persons of the test split of the sample, in turn; the fifth request failed.
SAID = [[STAND, CARRY], [WALK], [STAND], [WALK], None, [STAND, TALK]]
LOGPROBS = [-0.5, -0.5, -3.0, -0.5, None, -0.5]


@pytest.fixture(scope="module")
def dataset() -> ActionDataset:
    return load_actions("sample")


def asked(
    folder: Path,
    dataset: ActionDataset,
    said: Sequence[list[str] | None] = SAID,
    logprobs: Sequence[float | None] = LOGPROBS,
    **settings: Any,
) -> RunRecord:
    """A run with these answers about the first persons, in turn; None is a failure."""
    own = {"task": "har", "boxes": "drawn", "fingerprint": dataset.fingerprints["har"], "model": "openai:m"}
    with open_run(folder, **{**own, **settings}) as one:
        items = one.items(dataset)
        for item, names, logprob in zip(items, said, logprobs, strict=False):
            key = item.request.id
            if names is None:
                one.add(Failure(id=key, stage="parse", reason="nothing was said"))
            else:
                text = json.dumps({"actions": names})
                one.add(Answer(id=key, text=text, answer=text, logprob=logprob))
    return RunRecord.read(folder)


def scored(run: RunRecord, dataset: ActionDataset, **options: Any) -> ScoredPersons:
    (found,) = score_answers([run], ScoringOptions(**options), dataset)
    assert isinstance(found, ScoredPersons), found
    return found


def precisions(found: ScoredPersons) -> Mapping[str, float | None]:
    """The average precision of each action that a person shows."""
    assert found.scorecard.har is not None
    return {one.name: one.AP for one in found.scorecard.har.actions if one.examples}


def test_the_scores_are_those_computed_by_hand(tmp_path: Path, dataset: ActionDataset) -> None:
    found = scored(asked(tmp_path / "r", dataset), dataset)
    # Of "stand", the ranks are true, false, true and, of those who were not chosen, true.
    assert precisions(found) == pytest.approx({STAND: 250 / 3, WALK: 260 / 3, CARRY: 100.0, TALK: 100.0})
    card = found.scorecard
    assert card.scores["mAP"].value == pytest.approx(92.5)
    assert (card.counts.answered, card.counts.failed, card.counts.missing) == (5, 1, 0)
    assert card.status == "incomplete: 1 request failed; not admissible to a leaderboard"
    signature = card.scores["mAP"].signature
    assert signature is not None and signature.values["boxes"] == "drawn"
    assert not {ACTION_SCORES, "transforms"} & signature.values.keys()
    assert found.detections.asked
    assert not found.detections.scores[4].any()
    assert (found.detections.name, card.dataset) == ("openai-m.test.csv", dataset.name)


def test_a_person_of_whom_nothing_is_known_is_missing(tmp_path: Path, dataset: ActionDataset) -> None:
    found = scored(asked(tmp_path / "r", dataset, SAID[:4]), dataset)
    assert found.scorecard.counts.missing == 2
    assert len(found.detections) == 4


def test_scores_by_probability_rank_the_least_probable_answer_last(
    tmp_path: Path, dataset: ActionDataset
) -> None:
    run = asked(tmp_path / "r", dataset)
    found = scored(run, dataset, action_scores="logprob")
    assert precisions(found)[STAND] == pytest.approx(100 * (1 + 1 + 3 / 4) / 3)
    labels = shipped_labels()
    assert found.detections.scores[0, labels.names.index(STAND)] == pytest.approx(1 + np.exp(-0.25))
    signature = found.scorecard.scores["mAP"].signature
    assert signature is not None and signature.values[ACTION_SCORES] == "logprob"
    unknown = asked(tmp_path / "unknown", dataset, logprobs=[-0.5, None, None, -0.5, None, -0.5])
    (error,) = score_answers([unknown], ScoringOptions(action_scores="logprob"), dataset)
    assert isinstance(error, RunError)
    assert "2 answers have no log-probability" in str(error)


def test_what_is_written_gives_the_same_scores(tmp_path: Path, dataset: ActionDataset) -> None:
    run = asked(tmp_path / "r", dataset, transforms=("mirror",), checkpoint="org/m")
    found = scored(run, dataset)
    found.save()
    assert run.scorecard is found.scorecard
    assert found.scorecard.warnings[0] == "persons were shown on changed frames: mirror"
    signature = found.scorecard.scores["mAP"].signature
    assert signature is not None and signature.values["transforms"] == "mirror"
    read = read_asked(RunRecord.read(run.path), dataset.name)
    assert read.detections.scores.tolist() == found.detections.scores.tolist()
    assert read.detections.sha256 == found.detections.sha256
    assert read.detections.asked and read.asked
    assert (read.settings.recipe, read.settings.checkpoint) == ("asked, drawn, mirror", "org/m")
    person = run.items(dataset)[4].request
    assert person.person is not None
    key = (person.video_id, person.person.frame, *person.person.corners)
    assert read.failures == {key: "nothing was said"}
    other = with_har(found.scorecard, detections="x.csv")
    (run.path / "scorecard.json").write_text(json.dumps(other.to_json()))
    with pytest.raises(RunError, match=r"is of x\.csv, not of openai-m\.test\.csv"):
        read_asked(RunRecord.read(run.path), dataset.name)


def test_part_of_the_clips_is_scored_against_what_is_true_of_them(
    tmp_path: Path, dataset: ActionDataset
) -> None:
    clip = dataset.key_frames.items[0].video_id
    run = asked(tmp_path / "r", dataset, clips=(clip,))
    items, truth = asked_of(run, dataset)
    assert {item.request.video_id for item in items} == set(truth.video_ids.tolist()) == {clip}
    rows = [place for place, name in enumerate(dataset.truth.video_ids.tolist()) if name == clip]
    assert truth.actions.tolist() == dataset.truth.actions[rows].tolist()
    assert truth.boxes.tolist() == dataset.truth.boxes[rows].tolist()
    assert (truth.name, truth.sources) == (dataset.truth.name, dataset.truth.sources)
    whole = asked(tmp_path / "whole", dataset)
    assert asked_of(whole, dataset)[1] is dataset.truth


def test_persons_are_in_the_order_of_their_key_frames(tmp_path: Path, dataset: ActionDataset) -> None:
    texts = load("sample")
    clips = tuple(sorted(texts.clips, key=lambda clip: clip.video_id, reverse=True))
    mixed = load_actions("sample", texts=replace(texts, clips=clips))
    run = asked(tmp_path / "r", mixed)
    order = list(dict.fromkeys(item.request.video_id for item in asked_of(run, mixed)[0]))
    assert order == list(dict.fromkeys(one.video_id for one in dataset.key_frames.items))
    assert order != list(dict.fromkeys(item.request.video_id for item in run.items(mixed)))


def test_the_baseline_has_the_range_of_its_ties(tmp_path: Path, dataset: ActionDataset) -> None:
    entry = scored(asked(tmp_path / "r", dataset), dataset).scorecard.baselines["blind"]
    assert entry.map_over_ties is not None
    assert entry.map_over_ties[0] < entry.scores["mAP"] < entry.map_over_ties[1]
    assert {"mAP", "F1", "recall", "AUROC"} >= entry.scores.keys() > {"mAP"}


def test_only_persons_with_an_answer_are_detections(dataset: ActionDataset) -> None:
    items = items_of(TASKS["har"], dataset.clips)
    first, second = (item.request.id for item in items[1:4:2])
    answers = {first: json.dumps({"actions": [WALK]}), second: NOTHING_NAMED}
    found = as_detections(items, answers, "d.csv", {first: -1.0})
    assert found.scores.tolist() == [scores_in(answers[first], shipped_labels(), -1.0).tolist(), [0.0] * 50]
    assert found.video_ids.tolist() == [item.request.video_id for item in items[1:4:2]]
    with pytest.raises(DataError, match=r"d\.csv: no person has an answer"):
        as_detections(items, {}, "d.csv")
    with pytest.raises(DataError, match=rf"d\.csv: {second}: cannot be read"):
        as_detections(items, {**answers, second: "She stands."}, "d.csv")


def test_the_name_of_the_file_has_no_other_characters(tmp_path: Path, dataset: ActionDataset) -> None:
    run = asked(tmp_path / "r", dataset, model="server:org/a b.c")
    assert file_name(run, dataset) == "server-org-a-b-c.test.csv"
