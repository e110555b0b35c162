"""Key frames of datasets and of tables of boxes, and what is refused before a model is loaded."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from microg_bench.dataset.labels import read_label_map
from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.dataset.shards import divide
from microg_bench.errors import DataError, UsageError
from microg_bench.persons.boxes import read_ground_truth
from microg_bench.persons.convert import Sizes, to_ava
from microg_bench.persons.keyframes import GONE, load_key_frames

LABELS = read_label_map()
CLIP = "pedestrians-a_000"


def table(folder: Path, *rows: str) -> Path:
    path = folder / "boxes.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_the_annotations_of_the_sample_set_are_divided() -> None:
    parts = {
        split: load_key_frames("sample", LABELS, split=split) for split in ("train", "val", "test", "all")
    }
    assert [len(parts[split]) for split in ("train", "val", "test")] == [7, 1, 2]
    assert (len(parts["all"]), parts["all"].boxes) == (10, 36)
    clips = [item.video_id for split in ("train", "val", "test") for item in parts[split].items]
    assert sorted(clips) == sorted(item.video_id for item in parts["all"].items)
    one = next(item for item in parts["all"].items if item.video_id == CLIP)
    assert (one.frame, one.actions) == (46, ((14,), (12,), (12,), (14, 17)))
    assert one.boxes[0] == pytest.approx([284 / 640, 164 / 480, 313 / 640, 240 / 480], abs=5e-4)
    assert one.video.name == f"{CLIP}.mp4"


def test_the_truth_is_that_of_the_file_that_convert_writes(tmp_path: Path) -> None:
    ava = to_ava(
        SAMPLE_FOLDER / "bounding_boxes.csv", SAMPLE_FOLDER / "actions.csv", Sizes(usual=(640, 480)), LABELS
    )
    (tmp_path / "test.csv").write_text(ava.split()["test"].write_csv(include_header=False))
    found = load_key_frames("sample", LABELS, split="test").truth
    assert found is not None
    assert found.fingerprint == read_ground_truth(tmp_path / "test.csv", LABELS).fingerprint


def test_boxes_of_a_file_need_no_actions(tmp_path: Path) -> None:
    found = load_key_frames(
        "sample", LABELS, boxes=table(tmp_path, f"{CLIP},3,0.1,0.2,0.3,0.4", f"{CLIP},2,0,0,1,1")
    )
    assert [(item.frame, item.actions) for item in found.items] == [(3, ((),)), (2, ((),))]
    assert found.truth is None
    assert found.name == "boxes.csv"


def test_a_box_may_have_no_action_beside_others_that_have(tmp_path: Path) -> None:
    rows = [f"{CLIP},3,0.1,0.2,0.3,0.4,14", f"{CLIP},3,0.5,0.5,0.9,0.9,", f"{CLIP},3,0,0,1,1,x"]
    found = load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows[:2]))
    assert found.items[0].actions == ((14,), ())
    assert found.truth is not None and len(found.truth) == 1
    with pytest.raises(DataError, match="row 3: 'action_id' is 'x', not a whole number"):
        load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows))


def test_each_action_of_the_label_map_counts_and_no_other(tmp_path: Path) -> None:
    first, last = LABELS.ids[0], LABELS.ids[-1]
    rows = [f"{CLIP},3,0,0,1,1,{action}" for action in (first, last, last + 1, first - 1)]
    found = load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows))
    assert found.items[0].actions == ((first, last),)
    assert [note for note in found.notes if "not in the label map" in note] == [
        "2 actions not in the label map, left out; the boxes are kept"
    ]


def test_clips_of_a_table_may_be_gone_where_that_is_asked_for(tmp_path: Path) -> None:
    rows = ["nobody_000,3,0,0,1,1,14", f"{CLIP},3,0,0,1,1,14"]
    found = load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows), gone=True)
    assert [item.video == GONE for item in found.items] == [True, False]
    elsewhere = load_key_frames(tmp_path, LABELS, boxes=table(tmp_path, *rows), gone=True)
    assert elsewhere.fingerprint == found.fingerprint


@pytest.mark.parametrize("damaged", [True, False])
def test_the_annotations_need_the_size_of_a_clip_that_is_gone_which_says_what_to_do(
    tmp_path: Path, damaged: bool
) -> None:
    folder = Path(shutil.copytree(SAMPLE_FOLDER, tmp_path / "data"))
    video = next(folder.rglob(f"{CLIP}.*"))
    video.write_text("no video") if damaged else video.unlink()
    with pytest.raises(DataError, match=r"put the clip back, or give boxes in shares .*`har convert --size`"):
        load_key_frames(folder, LABELS, gone=True)


def test_boxes_of_a_frame_are_joined_and_each_counts_once(tmp_path: Path) -> None:
    rows = [
        f"{CLIP},3,0.1,0.2,0.3,0.4,14,1",
        f"{CLIP},3,0.1,0.2,0.3,0.4,12,1",
        f"{CLIP},3,0.5,0.2,0.9,0.4,12,2",
    ]
    found = load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows, rows[0]))
    (item,) = found.items
    assert item.actions == ((12, 14), (12,))
    assert found.truth is not None
    assert len(found.truth) == 4
    assert (
        found.fingerprint != load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows[:2])).fingerprint
    )


def test_key_frames_of_a_clip_follow_one_another(tmp_path: Path) -> None:
    rows = [f"{CLIP},3,0,0,1,1,14", "astronaut-roll_000,1,0,0,1,1,14", f"{CLIP},1,0,0,1,1,14"]
    found = load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows))
    assert [item.key for item in found.items] == [(CLIP, 3), (CLIP, 1), ("astronaut-roll_000", 1)]


def test_shards_have_whole_clips_and_part_all_of_them() -> None:
    found = load_key_frames("sample", LABELS, split="all")
    counts = Counter(item.video_id for item in found.items)
    parts = [found.shard(f"{number}/3") for number in (1, 2, 3)]
    clips = [list(dict.fromkeys(item.video_id for item in part)) for part in parts]
    assert clips == [list(part) for part in divide(list(counts), list(counts.values()), 3)]
    assert sorted(item.id for part in parts for item in part) == sorted(item.id for item in found.items)
    assert found.shard(None) == found.items


def test_the_notes_count_what_was_left_out(tmp_path: Path) -> None:
    rows = [
        f"{CLIP},3,0.3,0.2,0.3,0.4,2,1",
        f"{CLIP},3,0.1,0.4,0.3,0.4,2,1",
        f"{CLIP},3,0.1,0.2,0.3,0.4,2,1",
        f"{CLIP},3,0.1,0.2,0.3,0.4,,2",
        f"{CLIP},90,0.1,0.2,0.3,0.4,,1",
    ]
    found = load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows))
    assert found.notes == (
        "2 rows of boxes without an area, left out",
        "1 action not in the label map, left out; the boxes are kept",
        "1 box given of several persons, who are looked at as one",
    )
    assert [(item.frame, item.actions) for item in found.items] == [(3, ((),)), (90, ((),))]
    with pytest.raises(DataError, match=r"boxes\.csv: no box has an action"):
        found.known_truth()
    known = load_key_frames("sample", LABELS, boxes=table(tmp_path, f"{CLIP},3,0,0,1,1,14"))
    assert known.notes == ()
    assert known.known_truth() is known.truth


def test_the_frames_of_a_damaged_video_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / f"{CLIP}.mp4").write_bytes(b"no video")
    found = load_key_frames(tmp_path, LABELS, boxes=table(tmp_path, f"{CLIP},3,0,0,1,1,14"))
    assert [item.frame for item in found.items] == [3]


def test_a_split_without_clips_is_refused(tmp_path: Path) -> None:
    for path in SAMPLE_FOLDER.rglob("*"):
        if path.suffix == ".csv":
            head, *lines = path.read_text().splitlines(keepends=True)
            (tmp_path / path.name).write_text(head + "".join(line for line in lines if CLIP in line))
        elif path.suffix == ".mp4":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert len(load_key_frames(tmp_path, LABELS, split="all")) == 1
    with pytest.raises(DataError, match="the split val is empty"):
        load_key_frames(tmp_path, LABELS, split="val")


def test_what_cannot_be_shown_is_left_out_and_said(tmp_path: Path) -> None:
    rows = [f"{CLIP},3,0.3,0.2,0.3,0.4,14", f"{CLIP},3,0.1,0.2,0.3,0.4,2", f"{CLIP},3,0.1,0.2,0.3,0.4,14"]
    found = load_key_frames("sample", LABELS, boxes=table(tmp_path, *rows))
    assert [item.actions for item in found.items] == [((14,),)]
    assert len(found.notes) == 2
    assert np.array_equal(found.items[0].boxes, [[0.1, 0.2, 0.3, 0.4]])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"{CLIP},3,0.5,0.5,0.4,0.6,14", "corners of the box are swapped"),
        (f"{CLIP},3,0.5,0.7,0.6,0.6,14", "corners of the box are swapped"),
        (f"{CLIP},91,0,0,1,1,14", "no frame 91"),
        (f"{CLIP},0,0,0,1,1,14", "number 1"),
        (f"{CLIP},3,0,0,1.2,1,14", "row 1"),
        (f"{CLIP},3,0,-0.1,1,1,14", "row 1"),
        ("nobody_000,3,0,0,1,1,14", "no video of 'nobody_000'"),
        (f"{CLIP},3,0.5,0.5,0.5,0.5,14", "no box with an area"),
        (f"{CLIP},3", "columns"),
    ],
)
def test_bad_boxes_are_one_line(tmp_path: Path, row: str, said: str) -> None:
    path = table(tmp_path, row)
    with pytest.raises(DataError) as caught:
        load_key_frames("sample", LABELS, boxes=path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_dataset_without_boxes_or_videos_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no videos"):
        load_key_frames(tmp_path, LABELS)
    (tmp_path / "a_000.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"bounding_boxes\.csv.*--boxes"):
        load_key_frames(tmp_path, LABELS)
    with pytest.raises(DataError, match="no dataset folder"):
        load_key_frames(tmp_path / "a_000.mp4", LABELS)
    with pytest.raises(UsageError, match="train, val, test or all"):
        load_key_frames("sample", LABELS, split="dev")


def test_a_box_outside_its_frame_is_named_by_its_row(tmp_path: Path) -> None:
    for path in SAMPLE_FOLDER.rglob("*"):
        if path.suffix in (".mp4", ".csv"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    boxes = (tmp_path / "bounding_boxes.csv").read_text().replace(",625,479", ",641,479")
    (tmp_path / "bounding_boxes.csv").write_text(boxes)
    with pytest.raises(DataError, match=r"row 2.*beyond its frame of 640x480"):
        load_key_frames(tmp_path, LABELS)


def test_persons_without_a_box_or_an_action_are_told(tmp_path: Path) -> None:
    for path in SAMPLE_FOLDER.rglob("*"):
        if path.suffix in (".mp4", ".csv"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = (
        (tmp_path / "actions.csv")
        .read_text()
        .replace("pedestrians-a_000,r,1,14\n", "pedestrians-a_000,r,9,14\n")
    )
    (tmp_path / "actions.csv").write_text(rows + "pedestrians-a_000,r,2,2\n")
    found = load_key_frames(tmp_path, LABELS, split="all")
    assert found.boxes == 35
    assert found.notes == (
        "1 person with a box but no action of the label map, left out",
        "1 action of 1 person without a box, left out",
    )
