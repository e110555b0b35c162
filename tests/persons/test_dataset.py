"""The persons of a dataset whom models are asked about."""

from pathlib import Path

import pytest

from microg_bench.adapters.references import References
from microg_bench.dataset.labels import shipped_labels
from microg_bench.dataset.load import SAMPLE_FOLDER, load
from microg_bench.errors import DataError
from microg_bench.persons.dataset import load_actions
from microg_bench.persons.keyframes import load_splits
from microg_bench.tasks import TASKS, items_of

HAR = TASKS["har"]


def test_requests_are_the_persons_of_the_test_split_in_their_order() -> None:
    found = load_actions("sample")
    items = items_of(HAR, found.clips)
    key_frames = load_splits("sample", shipped_labels(), ("test",))[0]
    boxes = [box for one in key_frames.items for box in one.boxes.tolist()]
    assert [list(item.request.person.corners) for item in items if item.request.person] == boxes
    assert [item.request.id for item in items] == [
        "astronaut-roll_001#p1",
        *(f"pedestrians-c_000#p{k}" for k in range(1, 6)),
    ]
    assert items[0].reference == "stand; carry/hold (an object)"
    assert items[0].request.model_dump(exclude={"person"})["question"] is None
    assert found.truth.fingerprint == found.fingerprint == found.fingerprints["har"]


def test_texts_and_persons_of_one_clip_stand_together() -> None:
    texts = load("sample")
    found = load_actions("sample", texts=texts)
    assert [clip.video_id for clip in found.clips] == [clip.video_id for clip in texts.clips]
    assert items_of(TASKS["vqa"], found.clips) == items_of(TASKS["vqa"], texts.clips)
    assert len(items_of(HAR, found.clips)) == 6
    assert found.fingerprint == texts.fingerprint != found.fingerprints["har"]


def test_baselines_know_the_persons_of_the_training_split_and_of_no_other() -> None:
    found = load_actions("sample", texts=load("sample"))
    asked = {clip.video_id for clip in found.clips if clip.persons}
    known = {clip.video_id for clip in found.examples if clip.persons}
    assert known
    assert asked.isdisjoint(known)
    assert {clip.video_id for clip in found.examples} == {clip.video_id for clip in load("sample").clips}
    persons = [person for clip in found.examples for person in clip.persons]
    walking = sum("walk" in person.actions for person in persons)
    for source in ("pedestrians-a", "pedestrians-c"):
        shares = References(found.examples).without(source).action_shares
        assert shares["walk"] == walking / len(persons)


def test_a_file_is_taken_whole_and_clips_without_a_video_are_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("gone_000,46,0.1,0.1,0.5,0.5,12,1\npedestrians-a_000,46,0.2,0.2,0.4,0.9,14,1\n")
    found = load_actions("sample", boxes=file, form="crop")
    assert found.split == "mine"
    assert [clip.video_id for clip in found.clips] == ["gone_000", "pedestrians-a_000"]
    assert [clip.video is None for clip in found.clips] == [True, False]
    assert {person.shown.form for clip in found.clips for person in clip.persons} == {"crop"}
    assert found.clips == found.examples


def test_without_actions_there_is_nothing_to_score_against(tmp_path: Path) -> None:
    (file := tmp_path / "boxes.csv").write_text("pedestrians-a_000,46,0.2,0.2,0.4,0.9,,1\n")
    with pytest.raises(DataError, match="no box has an action"):
        load_actions("sample", boxes=file)
    with pytest.raises(DataError, match="no dataset folder"):
        load_actions(SAMPLE_FOLDER / "vqa_and_captioning.json")
