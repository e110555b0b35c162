"""The published key frames, taken back to boxes in pixels and converted again, and the published split."""

import lzma
from pathlib import Path

import pytest

from tests.helpers.datasets import bench

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "har"
SIZE = ("--size", "854x480")

needs_files = pytest.mark.skipif(not FILES.is_dir(), reason=f"{FILES} is absent: the split is not checked")


def rows_of(path: Path) -> list[list[str]]:
    text = lzma.decompress(path.read_bytes()).decode() if path.suffix == ".xz" else path.read_text()
    return [line.split(",") for line in text.splitlines()]


@needs_files
def test_key_frames_go_there_and_back_to_the_published_split(tmp_path: Path) -> None:
    published = FILES / "keyframe_boxes.csv.xz"
    back = bench("har", "convert", "--keyframes", published, *SIZE, "--out", "boxes", cwd=tmp_path)
    assert back.returncode == 0, back.stderr
    there = ("--boxes", "boxes/bounding_boxes.csv", "--actions", "boxes/actions.csv", *SIZE)
    done = bench("har", "convert", *there, "--out", "ava", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "ava" / "keyframe_boxes.csv") == rows_of(published)
    counts = {}
    for part in ("train", "val", "test"):
        rows = rows_of(tmp_path / "ava" / f"ava_{part}.csv")
        counts[part] = (len(rows), len({row[0] for row in rows}))
        if part != "train":
            ours = sorted((row[0], int(row[1]), *map(float, row[2:6]), *map(int, row[6:8])) for row in rows)
            theirs = sorted(
                (row[0], int(row[1]), *map(float, row[2:6]), *map(int, row[6:8]))
                for row in rows_of(FILES / f"groundtruth_{part}.csv.xz")
            )
            assert ours == theirs
    assert counts == {"train": (9266, 3331), "val": (1329, 475), "test": (2656, 953)}


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ("video_id,frame_id,person_id,xmin,ymin,xmax\na_001,1,0,1,1,5\n", "ymax"),
        ("video_id,frame_id,person_id,xmin,ymin,xmax,ymax\na_001,1,0,1,1,5,x\n", "boxes.csv"),
        ("video_id,frame_id,person_id,xmin,ymin,xmax,ymax\na_001,1,0,1,1,5,9000\n", "boxes.csv"),
        ("video_id,frame_id,person_id,xmin,ymin,xmax,ymax\n../a,1,0,1,1,5,9\n", "boxes.csv"),
    ],
)
def test_bad_boxes_are_one_clear_line_and_nothing_is_written(
    tmp_path: Path, boxes: str, message: str
) -> None:
    (tmp_path / "boxes.csv").write_text(boxes)
    (tmp_path / "actions.csv").write_text("video_id,movie_or_real,person_id,action\na_001,r,0,12\n")
    command = ("har", "convert", "--boxes", "boxes.csv", "--actions", "actions.csv", *SIZE, "--out", "ava")
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "ava").exists()
