"""Which boxes are taken from tracks, rule by rule, on scripted persons."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from microg_bench.curation.folder import Box
from microg_bench.curation.key_frames import choose_key_frames
from microg_bench.curation.recipe import read_curation_recipe
from microg_bench.curation.tracks import choose_persons
from microg_bench.persons.convert import Sizes, to_ava

SETTINGS = read_curation_recipe("paper").tracks
SIZE = (640, 480)
Person = Callable[[int], tuple[float, float, float] | None]  # by frame from 1: left, width, confidence


def person(
    left: float = 0, width: float = 200, confidence: float = 0.9, frames: range = range(1, 91)
) -> Person:
    """A person as high as the frame, in view in some frames."""
    return lambda frame: (left, width, confidence) if frame in frames else None


def tracked(persons: Mapping[int, Person]) -> list[NDArray[np.float64]]:
    """Tracks by number, as a detector gives them."""
    found = []
    for frame in range(1, 91):
        rows = [(track, one) for track, person in persons.items() if (one := person(frame))]
        boxes = [(left, 0, left + width, 480, confidence, track) for track, (left, width, confidence) in rows]
        found.append(np.array(boxes, float).reshape(-1, 6))
    return found


def chosen(persons: Mapping[int, Person], motion: str = "low") -> tuple[Box, ...]:
    return choose_persons(tracked(persons), SIZE, 0.55, motion, SETTINGS)[1]


def frames(boxes: tuple[Box, ...], number: int = 1) -> list[int]:
    return [box.frame for box in boxes if box.person == number]


@pytest.mark.parametrize(("motion", "first", "key_frame"), [("low", 15, 52), ("high", 6, 48)])
def test_the_published_regularities(motion: str, first: int, key_frame: int) -> None:
    boxes = chosen({7: person()}, motion)
    assert frames(boxes) == list(range(first, 91))
    _, keys = choose_key_frames(boxes)
    assert [box.frame for box in keys] == [key_frame]


@pytest.mark.parametrize(("motion", "share"), [("low", 0.1), ("high", 0.2)])
def test_a_person_covers_a_share_of_the_frame(motion: str, share: float) -> None:
    assert frames(chosen({1: person(width=640 * share)}, motion))
    assert not chosen({1: person(width=640 * share - 1)}, motion)
    finding, _ = choose_persons(tracked({1: person(width=10)}), SIZE, 0.55, motion, SETTINGS)
    assert (finding.passed, finding.numbers["persons"]) == (False, 0)
    assert finding.reason == "no person is large, clear and long enough in view"


def test_a_person_counts_from_the_third_look_on() -> None:
    assert not chosen({1: person(frames=range(1, 15))}), "seen in frames 5 and 10"
    assert frames(chosen({1: person(frames=range(1, 16))})) == list(range(15, 20)), "and held until the next"
    late = person(frames=range(31, 91))
    assert frames(chosen({1: late})) == list(range(45, 91))


def test_only_every_fifth_frame_is_looked_at() -> None:
    between = person(frames=range(1, 91))
    assert not chosen({1: lambda frame: between(frame) if frame % 5 else None})
    assert frames(chosen({1: lambda frame: None if frame % 5 else between(frame)})) == list(range(15, 91))


def test_a_box_is_held_until_the_next_look() -> None:
    def walking(frame: int) -> tuple[float, float, float]:
        return float(frame), 200, 0.9

    boxes = {box.frame: box.xmin for box in chosen({1: walking})}
    assert [boxes[frame] for frame in (15, 16, 19, 20, 24, 90)] == [15, 15, 15, 20, 20, 90]


def test_a_person_who_leaves_is_not_held_and_comes_back_at_once() -> None:
    away = chosen({1: lambda frame: None if 40 <= frame < 60 else (0, 200, 0.9)})
    assert frames(away) == [*range(15, 40), *range(60, 91)]


def test_an_unclear_box_is_not_taken_but_counts() -> None:
    assert not chosen({1: person(confidence=0.55)})
    clearer = chosen({1: lambda frame: (0, 200, 0.9 if frame >= 40 else 0.5)})
    assert frames(clearer) == list(range(40, 91)), "it had been seen often enough"


def test_a_detection_without_a_track_is_no_person() -> None:
    assert not chosen({-1: person()})


def test_persons_are_numbered_in_the_order_of_appearance() -> None:
    boxes = chosen({9: person(frames=range(20, 91)), 4: person(left=300), 6: person(width=20)})
    assert {box.person for box in boxes} == {1, 2}
    assert {box.xmin for box in boxes if box.person == 1} == {300}, "track 4 came first; track 6 is too small"


def test_where_one_person_covers_more_than_half_the_others_are_left_out() -> None:
    large = person(left=0, width=321)
    boxes = chosen({1: large, 2: person(left=400)})
    assert frames(boxes, 1) == list(range(15, 91)) and not frames(boxes, 2)
    assert frames(chosen({1: person(width=320), 2: person(left=400)}), 2), "half is not more than half"


def test_the_others_are_back_when_the_large_one_goes_or_shrinks() -> None:
    def shrinks(frame: int) -> tuple[float, float, float]:
        return 0, 400 if frame < 50 else 319, 0.9

    assert frames(chosen({1: shrinks, 2: person(left=400)}), 2) == list(range(50, 91))
    goes = {1: person(width=400, frames=range(1, 50)), 2: person(left=400)}
    assert frames(chosen(goes), 2) == list(range(50, 91))
    unclear = {1: lambda frame: (0, 400, 0.9 if frame < 50 else 0.3), 2: person(left=400)}
    assert frames(chosen(unclear), 2) == list(range(50, 91))


def test_key_frames_are_those_of_the_conversion_to_ava(tmp_path: object) -> None:
    from pathlib import Path

    from microg_bench.dataset.labels import read_label_map

    folder = Path(str(tmp_path))
    persons = {1: person(frames=range(1, 60)), 2: person(left=300, frames=range(33, 91))}
    boxes = chosen(persons)
    lines = [f"a_000,{b.frame},{b.person},{b.xmin:g},{b.ymin:g},{b.xmax:g},{b.ymax:g}" for b in boxes]
    header = "video_id,frame_id,person_id,xmin,ymin,xmax,ymax"
    (folder / "boxes.csv").write_text("\n".join([header, *lines]))
    (folder / "actions.csv").write_text(
        "video_id,movie_or_real,person_id,action\na_000,r,1,12\na_000,r,2,12\n"
    )
    ava = to_ava(folder / "boxes.csv", folder / "actions.csv", Sizes(usual=SIZE), read_label_map())
    _, keys = choose_key_frames(boxes)
    assert dict(ava.rows.select("person_id", "frame_stamp").iter_rows()) == {b.person: b.frame for b in keys}


def test_a_box_that_covers_no_whole_pixel_is_none() -> None:
    whatever = SETTINGS.model_copy(update={"low": SETTINGS.low.model_copy(update={"area": 0.0})})
    people = {1: person(left=5.2, width=0.5), 2: person(left=5.2, width=1)}
    _, boxes = choose_persons(tracked(people), SIZE, 0.55, "low", whatever)
    assert {(box.person, box.xmin, box.xmax) for box in boxes} == {(1, 5.0, 6.0)}
