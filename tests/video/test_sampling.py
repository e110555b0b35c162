"""Which frames are chosen, by number and by time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from microg_bench.errors import UsageError
from microg_bench.video.sampling import MAX_FRAMES, FrameSpec, indices

counts = st.integers(1, MAX_FRAMES)
gaps = st.lists(st.floats(0.001, 2.0), max_size=200)


def at_rate(total: int, fps: float) -> list[float]:
    return [i / fps for i in range(total)]


def to_times(spans: list[float]) -> list[float]:
    times = [0.0]
    for span in spans:
        times.append(times[-1] + span)
    return times


@given(counts, st.sampled_from(["uniform", "endpoints"]), st.integers(1, 5000))
def test_the_number_asked_is_delivered_in_order_and_in_range(count: int, how: str, total: int) -> None:
    chosen = indices(FrameSpec.parse(count, how), range(total))
    assert len(chosen) == count
    assert list(chosen) == sorted(chosen)
    assert chosen[0] >= 0 and chosen[-1] < total


@given(st.floats(0.05, 100), gaps)
def test_fps_delivers_one_frame_for_each_step_that_the_clip_lasts(rate: float, spans: list[float]) -> None:
    times = to_times(spans)
    chosen = indices(FrameSpec(how="fps", rate=rate), times)
    length = times[-1] + (times[-1] / len(spans) if spans else 0.0)
    assert abs(len(chosen) - max(1.0, length * rate)) <= 1 + 0.002 * rate
    assert list(chosen) == sorted(chosen)
    assert chosen[0] == 0 or times[chosen[0]] <= 0.002
    assert chosen[-1] < len(times)
    assert all(times[index] <= k / rate + 0.002 for k, index in enumerate(chosen))


@given(counts, st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_uniform_looks_at_the_number_of_frames_only(count: int, spans: list[float]) -> None:
    spec = FrameSpec(count=count)
    assert indices(spec, to_times(spans)) == indices(spec, range(len(spans) + 1))


def test_uniform_takes_the_middles_of_equal_spans() -> None:
    assert indices(FrameSpec(count=1), range(90)) == (45,)
    assert indices(FrameSpec(count=3), range(90)) == (15, 45, 75)
    assert indices(FrameSpec(count=8), range(90)) == (5, 16, 28, 39, 50, 61, 73, 84)
    assert indices(FrameSpec(count=90), range(90)) == tuple(range(90))


def test_endpoints_include_the_first_and_the_last_frame() -> None:
    assert indices(FrameSpec(count=2, how="endpoints"), range(90)) == (0, 89)
    assert indices(FrameSpec(count=3, how="endpoints"), range(91)) == (0, 45, 90)
    assert indices(FrameSpec(count=8, how="endpoints"), range(90)) == (0, 13, 25, 38, 51, 64, 76, 89)


def test_a_single_endpoint_is_the_middle_frame() -> None:
    assert indices(FrameSpec(count=1, how="endpoints"), range(90)) == (45,)


def test_a_short_clip_repeats_frames() -> None:
    assert indices(FrameSpec(count=8), range(3)) == (0, 0, 0, 1, 1, 2, 2, 2)
    assert indices(FrameSpec(count=4, how="endpoints"), range(2)) == (0, 0, 1, 1)
    assert indices(FrameSpec(count=5), range(1)) == (0,) * 5


def test_fps_takes_the_frame_on_display_at_each_step() -> None:
    assert indices(FrameSpec.parse(None, "fps:1"), at_rate(90, 30)) == (0, 30, 60)
    assert indices(FrameSpec.parse(None, "fps:2"), at_rate(90, 30)) == (0, 15, 30, 45, 60, 75)
    assert indices(FrameSpec.parse(None, "fps:30"), at_rate(90, 30)) == tuple(range(90))
    assert indices(FrameSpec.parse(None, "fps:60"), at_rate(3, 30)) == (0, 0, 1, 1, 2, 2)
    assert indices(FrameSpec.parse(None, "fps:1"), [0.0, 0.1, 0.2, 1.5, 1.6]) == (0, 2)


def test_fps_gives_at_least_the_first_frame() -> None:
    assert indices(FrameSpec.parse(None, "fps:0.1"), at_rate(90, 30)) == (0,)
    assert indices(FrameSpec.parse(None, "fps:5"), [0.0]) == (0,)


@pytest.mark.parametrize("rate", [1, 2, 3, 5, 7.5, 10, 15, 20, 30])
def test_times_rounded_to_milliseconds_choose_the_same_frames(rate: float) -> None:
    spec = FrameSpec(how="fps", rate=rate)
    exact = at_rate(90, 30)
    assert indices(spec, [round(time, 3) for time in exact]) == indices(spec, exact)


def test_all_takes_every_frame() -> None:
    assert indices(FrameSpec.parse(8, "all"), range(4)) == (0, 1, 2, 3)


def test_no_frames_cannot_be_chosen_from() -> None:
    with pytest.raises(ValueError, match="without frames"):
        indices(FrameSpec(count=8), [])


@pytest.mark.parametrize(
    ("frames", "sampling", "short"),
    [
        (8, "uniform", "uniform:8"),
        (3, "endpoints", "endpoints:3"),
        (8, "fps:2.50", "fps:2.5"),
        (8, "all", "all"),
    ],
)
def test_specs_have_one_short_form(frames: int, sampling: str, short: str) -> None:
    assert str(FrameSpec.parse(frames, sampling)) == short


@pytest.mark.parametrize(
    ("frames", "sampling", "says"),
    [
        (0, "uniform", "1 to 1024, not 0"),
        (-3, "endpoints", "1 to 1024, not -3"),
        (1025, "uniform", "1 to 1024, not 1025"),
        (None, "uniform", "1 to 1024, not None"),
        (8, "fps:0", "above 0"),
        (8, "fps:-1", "above 0"),
        (8, "fps:nan", "above 0"),
        (8, "fps:inf", "at most 1000"),
        (8, "fps:", "unknown sampling 'fps:'"),
        (8, "fps", "unknown sampling 'fps'"),
        (8, "fps:fast", "unknown sampling 'fps:fast'"),
        (8, "uniform:4", "unknown sampling"),
        (8, "random", "use uniform, endpoints, fps:RATE or all"),
    ],
)
def test_unusable_settings_are_refused_in_one_line(frames: int | None, sampling: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        FrameSpec.parse(frames, sampling)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields", [{}, {"how": "all", "count": 3}, {"count": 3, "rate": 1.0}, {"how": "fps"}]
)
def test_a_spec_that_contradicts_itself_cannot_be_made(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FrameSpec.model_validate(fields)
