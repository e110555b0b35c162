"""The published key frames, taken back to boxes in pixels and converted again, and the published split."""

import lzma
from pathlib import Path

import polars
import pytest

from microg_bench.dataset.labels import read_label_map
from microg_bench.errors import DataError
from microg_bench.persons import convert
from microg_bench.persons.convert import Sizes, from_ava, read_ava, read_sizes, to_ava
from tests.helpers.datasets import make_dataset

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "har"
SIZES = Sizes(usual=(854, 480))
LABELS = read_label_map()
KEY_FRAME = "{},3,0.25,0.25,0.5,0.75,12,0\n"

needs_files = pytest.mark.skipif(not FILES.is_dir(), reason=f"{FILES} is absent: the split is not checked")
Row = tuple[object, ...]


def rows_of(path: Path) -> list[Row]:
    """The rows of a file of AVA's layout, without header."""
    found: list[Row] = []
    for line in lzma.decompress(path.read_bytes()).decode().splitlines():
        video, *numbers = line.split(",")
        whole, shares = [int(numbers[k]) for k in (0, 5, 6)], map(float, numbers[1:5])
        found.append((video, whole[0], *shares, *whole[1:]))
    return found


def back_and_there(key_frames: Path, folder: Path, sizes: Sizes = SIZES) -> tuple[Path, Path]:
    """The files of boxes and actions that key frames give."""
    boxes, actions = from_ava(read_ava([key_frames], LABELS), sizes)
    boxes.write_csv(folder / "bounding_boxes.csv")
    actions.write_csv(folder / "actions.csv")
    return folder / "bounding_boxes.csv", folder / "actions.csv"


@needs_files
def test_key_frames_go_there_and_back_to_the_published_split(tmp_path: Path) -> None:
    published = FILES / "keyframe_boxes.csv.xz"
    ava = to_ava(*back_and_there(published, tmp_path), SIZES, LABELS)
    head, *lines = lzma.decompress(published.read_bytes()).decode().splitlines()
    assert ava.rows.write_csv().splitlines() == [head, *lines]
    parts = ava.split()
    for part in ("val", "test"):
        assert sorted(parts[part].rows()) == sorted(rows_of(FILES / f"groundtruth_{part}.csv.xz"))
    counts = {part: (rows.height, rows["video_id"].n_unique()) for part, rows in parts.items()}
    assert counts == {"train": (9266, 3331), "val": (1329, 475), "test": (2656, 953)}


@pytest.mark.parametrize(
    ("video_id", "footage"),
    [("FXv9AZl3fw4_001", "r"), ("-_v9AZl3fw4_001", "r"), ("gravity_001", "m"), ("a film name_001", "m")],
)
def test_footage_is_real_where_its_source_has_a_youtube_id(
    tmp_path: Path, video_id: str, footage: str
) -> None:
    (tmp_path / "k.csv").write_text(KEY_FRAME.format(video_id))
    _, actions = from_ava(read_ava([tmp_path / "k.csv"], LABELS), SIZES)
    assert actions.rows() == [(video_id, footage, 0, 12)]


def test_sizes_are_read_from_the_videos(tmp_path: Path) -> None:
    make_dataset(tmp_path / "set", ["a_001", "a_002"])  # 64x64 and 80x64
    (tmp_path / "k.csv").write_text(KEY_FRAME.format("a_002"))
    boxes, actions = back_and_there(tmp_path / "k.csv", tmp_path, read_sizes(tmp_path / "set"))
    assert polars.read_csv(boxes).rows() == [("a_002", 3, 0, 20.0, 16.0, 40.0, 48.0)]
    assert to_ava(boxes, actions, read_sizes(tmp_path / "set"), LABELS).rows.height == 1


def test_the_size_of_a_video_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    make_dataset(tmp_path / "set", ["a_001", "a_002"])
    (tmp_path / "some").mkdir()
    for name in ("a_001", "a_002"):
        [video] = (tmp_path / "set").rglob(f"{name}.mp4")
        link = tmp_path / "some" / f"{name}.mp4"
        link.hardlink_to(video) if name == "a_001" else link.symlink_to(video)
    assert read_sizes(tmp_path / "some").known == {"a_001": (64, 64)}


def test_rows_that_multiply_beyond_all_measure_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "MAX_ROWS", 3)
    (tmp_path / "boxes.csv").write_text("a_001,1,0,1,1,5,9\n" * 2)
    (tmp_path / "actions.csv").write_text("a_001,r,0,12\n" * 2)
    with pytest.raises(DataError, match="its rows of each person times those in .* are too many"):
        to_ava(tmp_path / "boxes.csv", tmp_path / "actions.csv", SIZES, LABELS)


def test_a_video_without_a_size_is_named(tmp_path: Path) -> None:
    make_dataset(tmp_path / "set", ["a_001"])
    (tmp_path / "k.csv").write_text(KEY_FRAME.format("a_001") + KEY_FRAME.format("b_001"))
    with pytest.raises(DataError, match="k.csv: row 2: no video 'b_001' to take the size from"):
        from_ava(read_ava([tmp_path / "k.csv"], LABELS), read_sizes(tmp_path / "set"))
    for folder, message in (("nowhere", "nowhere: no such folder"), (".", "holds no videos")):
        place = tmp_path / "empty"
        place.mkdir(exist_ok=True)
        with pytest.raises(DataError, match=message):
            read_sizes(place / folder)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ("video_id,frame_id,person_id,xmin,ymin,xmax\na_001,1,0,1,1,5\n", "lacks the column 'ymax'"),
        (
            "video_id,frame_id,person_id,xmin,ymin,xmax,ymax\na_001,1,0,1,1,5,x\n",
            "row 2: 'ymax' is 'x', not a finite number, 0 or more",
        ),
        (
            "video_id,frame_id,person_id,xmin,ymin,xmax,ymax\na_001,1,0,1,1,5,9000\n",
            "row 2: the box goes beyond its frame of 854x480",
        ),
        (
            "video_id,frame_id,person_id,xmin,ymin,xmax,ymax\n../a,1,0,1,1,5,9\n",
            "row 2: '../a' is not a safe video_id",
        ),
        (
            "video_id,frame_id,person_id,xmin,ymin,xmax,ymax\nb_001,1,0,1,1,5,9\n",
            "actions.csv: no person in it has a box in",
        ),
    ],
)
def test_bad_boxes_are_one_clear_line(tmp_path: Path, boxes: str, message: str) -> None:
    (tmp_path / "boxes.csv").write_text(boxes)
    (tmp_path / "actions.csv").write_text("video_id,movie_or_real,person_id,action\na_001,r,0,12\n")
    with pytest.raises(DataError) as caught:
        to_ava(tmp_path / "boxes.csv", tmp_path / "actions.csv", SIZES, LABELS)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
