import pytest

from microg_bench.settings import Media
from microg_bench.video.sampling import FrameSpec
from tests.helpers.runs import make_settings


def test_the_first_difference_is_told_in_words() -> None:
    same = make_settings(clips=("a",))
    assert same.difference(make_settings(clips=("a",))) is None
    assert same.difference(make_settings(frames=FrameSpec(count=9), clips=("a",))) == (
        "frames: uniform:8 → uniform:9"
    )
    assert same.difference(make_settings()) == 'clips: ["a"] → None'


def test_hashes_are_told_in_words_and_last() -> None:
    one = make_settings(checkpoint="w", checkpoint_sha256="a")
    edited = {"adapter_sha256": "1", "title": "N"}
    assert one.difference(one.model_copy(update={"title": "N"})) is None, "it follows from the rest"
    told = one.difference(one.model_copy(update=edited))
    assert told == "the file of the adapter m was edited"
    told = one.difference(one.model_copy(update={**edited, "checkpoint_sha256": "b"}))
    assert told == "the weights in w have changed"
    other = one.model_copy(update={**edited, "checkpoint_sha256": "b", "dtype": "float16"})
    assert (one.difference(other), one.changed(other)) == ("dtype: auto → float16", "dtype")


def test_a_long_value_is_cut() -> None:
    names = tuple(f"clip_{n:03}" for n in range(20))
    told = make_settings().difference(make_settings(clips=names))
    assert told is not None
    assert told.startswith('clips: None → ["clip_000", ')
    assert len(told.partition(" → ")[2]) == 58
    assert told.endswith("…")


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, "uniform:8"),
        ({"frames": None}, "none"),
        ({"frames": None, "media": Media(kind="clip")}, "clip"),
        ({"media": Media(kind="video", jpeg_quality=90)}, "uniform:8"),
        ({"frames": FrameSpec(how="fps", rate=2.5)}, "fps:2.5"),
    ],
)
def test_what_the_model_is_shown_is_told_in_a_word(changed: dict[str, object], shown: str) -> None:
    assert make_settings(**changed).shown == shown


def test_what_the_size_of_the_input_follows_from_is_told_in_a_line() -> None:
    assert make_settings().input is None
    stated = {"videos.size": {"shortest_edge": 1, "longest_edge": 2}, "images.do_pan_and_scan": False}
    told = "uniform:8 images.do_pan_and_scan=false videos.size.longest_edge=2 videos.size.shortest_edge=1"
    assert make_settings(processor_args=stated).input == told
    again = dict(reversed(stated.items()))
    assert make_settings(processor_args=again).input == told, "the order does not count"


def test_a_long_line_of_the_input_is_a_hash() -> None:
    one, other = (make_settings(processor_args={"videos.x": "y" * size}).input for size in (200, 201))
    assert one is not None and other is not None
    assert one.startswith("uniform:8 sha256=") and len(one) == len("uniform:8 sha256=") + 64
    assert one != other
