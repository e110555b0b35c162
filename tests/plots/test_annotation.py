"""The drawn example of the annotations: which clip it is, what it shows."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from microg_bench.dataset.load import SAMPLE_FOLDER, load
from microg_bench.errors import DataError, DecodeError, UsageError
from microg_bench.plots.annotation import (
    AnnotatedClip,
    _draw_frame,
    draw_annotated_clip,
    find_annotated_clip,
)
from microg_bench.plots.canvas import canvas
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec
from tests.helpers.figures import svg_words

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the sample set, in whose boxes each person stands still for nine frames."""
    folder = Path(shutil.copytree(SAMPLE_FOLDER, tmp_path / "data"))
    with (folder / "bounding_boxes.csv").open(newline="") as file:
        first, *rows = csv.reader(file)
    many = [[row[0], str(frame), *row[2:]] for row in rows for frame in range(41, 50)]
    write(folder / "bounding_boxes.csv", [first, *many])
    return folder


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def found(data: str | Path, clip: str | None = None) -> AnnotatedClip:
    example = find_annotated_clip(data, clip)
    assert example is not None
    return example


def test_the_first_clip_with_two_persons_is_taken() -> None:
    example = found("sample")
    assert example.clip.video_id == "pedestrians-a_000"
    assert example.actions == {
        1: ("walk",),
        2: ("stand",),
        3: ("stand",),
        4: ("walk", "carry/hold (an object)"),
    }
    assert list(example.boxes) == [46]
    assert example.boxes[46][1] == (284, 164, 313, 240)
    assert load("sample").clips[0].video_id == example.clip.video_id


@pytest.mark.parametrize(
    ("alone", "taken"),
    [("pedestrians-a_000", "pedestrians-a_001"), ("", "pedestrians-a_000")],
    ids=["one clip with one person", "only clips with one person"],
)
def test_a_clip_with_one_person_is_taken_where_no_other_has_more(data: Path, alone: str, taken: str) -> None:
    path = data / "actions.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    write(path, [row for row in rows if row[2] in ("person_id", "1") or not row[0].startswith(alone)])
    assert found(data).clip.video_id == taken


def test_frames_are_chosen_evenly_from_the_first_to_the_last(data: Path) -> None:
    example = found(data, "pedestrians-b_001")
    assert list(example.boxes) == [41, 44, 46, 49]
    whole = decode(example.clip.video or "", FrameSpec.parse(None, "all"))
    assert np.array_equal(example.pixels(), whole.pixels[[40, 43, 45, 48]])


def test_the_picture_has_persons_actions_caption_and_questions(data: Path, tmp_path: Path) -> None:
    example = found(data, "pedestrians-b_001")
    png, svg = draw_annotated_clip(example, tmp_path / "out")
    assert (png.name, svg.name) == ("annotation.png", "annotation.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    words = " ".join(svg_words(svg))
    assert "An annotated clip: pedestrians-b_001" in words
    assert all(f"frame {number}" in words for number in (41, 44, 46, 49))
    assert "6: walk, point to (an object)" in words
    assert " ".join((example.clip.caption or "").split()) in words
    for question in example.clip.questions:
        assert f"Q: {question.text}" in words and f"A: {question.answer}" in words
    again, _ = draw_annotated_clip(example, tmp_path / "again")
    assert again.read_bytes() == png.read_bytes()


@pytest.mark.parametrize("top", [0, 30, 200])
def test_the_number_of_a_person_stands_in_the_picture(top: int) -> None:
    example = found("sample")
    persons = dict.fromkeys(example.actions, (100.0, float(top), 200.0, 400.0))
    example = AnnotatedClip(example.clip, {46: persons}, example.actions)
    with canvas() as figure:
        figure.set_size_inches(6, 4)
        axes = figure.subplots()
        _draw_frame(axes, example.pixels()[0], 46, example)
        figure.draw_without_rendering()
        for text in axes.texts:
            high = text.get_bbox_patch().get_window_extent()
            assert axes.bbox.y0 <= high.y0 and high.y1 <= axes.bbox.y1


def test_very_many_questions_are_cut(tmp_path: Path) -> None:
    example = found("sample")
    many = example.clip.model_copy(update={"questions": example.clip.questions * 500})
    _, svg = draw_annotated_clip(AnnotatedClip(many, example.boxes, example.actions), tmp_path)
    words = svg_words(svg)
    assert sum(word.startswith("Q: ") for word in words) <= 30 and "…" in words


@pytest.mark.parametrize("missing", ["bounding_boxes.csv", "actions.csv", "videos"])
def test_what_lacks_a_part_has_no_example(data: Path, missing: str) -> None:
    path = data / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert find_annotated_clip(data) is None
    assert find_annotated_clip(data / "vqa_and_captioning.json") is None


def test_a_clip_without_boxes_has_no_example(data: Path) -> None:
    without = next(
        clip.video_id for clip in load(data).clips if clip.video_id not in (data / "actions.csv").read_text()
    )
    assert find_annotated_clip(data, without) is None
    with pytest.raises(UsageError, match="nowhere"):
        find_annotated_clip(data, "nowhere")


def test_broken_boxes_are_named(data: Path) -> None:
    (data / "bounding_boxes.csv").write_text(
        "video_id,frame_id,person_id,xmin,ymin,xmax,ymax\na,1,1,2,x,4,5\n"
    )
    with pytest.raises(DataError, match=r"bounding_boxes\.csv: row 2: 'ymin' is 'x'"):
        find_annotated_clip(data)


def test_a_frame_that_the_video_does_not_have_is_named(data: Path) -> None:
    text = (data / "bounding_boxes.csv").read_text()
    (data / "bounding_boxes.csv").write_text(text.replace(",49,", ",4900,"))
    with pytest.raises(DecodeError, match=r"pedestrians-a_000\.\w+: has no frame 4900, but "):
        found(data).pixels()
