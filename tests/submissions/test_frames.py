"""The frames of answers follow from the declared rule, and from the clip where it is at hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.records import Answer
from microg_bench.runs.record import RunRecord
from microg_bench.storage import file_sha256
from microg_bench.submissions.frames import _of_length, frame_faults, other_files
from microg_bench.submissions.pack import pack
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec, indices
from microg_bench.video.source import MAX_DECODED
from tests.helpers.datasets import bench
from tests.helpers.runs import open_run
from tests.helpers.videos import write_clip
from tests.submissions.conftest import FAST, check, edit, edit_journal
from tests.submissions.small import alone

SPECS = [FrameSpec.parse(n, how) for n in (1, 2, 4, 8, 90) for how in ("uniform", "endpoints")]
SPECS += [FrameSpec.parse(None, how) for how in ("fps:1", "fps:2", "fps:0.5", "all")]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.sampled_from(SPECS), st.integers(30, 360), st.sampled_from([1, 2]))
def test_what_the_rule_gives_of_some_clip_of_three_seconds_is_accepted(
    spec: FrameSpec, total: int, twice: int
) -> None:
    frames = indices(spec, [3 * number / total for number in range(total)])
    assert _of_length(spec, frames, True)
    assert _of_length(spec, frames, False)


@pytest.mark.parametrize(
    ("spec", "frames"),
    [
        ((8, "uniform"), range(8)),
        ((4, "uniform"), (11, 33, 56, 79)),
        ((4, "uniform"), (11, 33, 56)),
        ((4, "uniform"), (78, 56, 33, 11)),
        ((4, "uniform"), ()),
        ((2, "endpoints"), (1, 89)),
        ((None, "all"), range(1, 90)),
        ((None, "fps:2"), range(500)),
        ((None, "fps:2"), (1, 16, 31, 46, 61, 76)),
        ((None, "fps:2"), (0, 16, 15, 46, 61, 76)),
        ((None, "fps:2"), ()),
    ],
)
def test_what_the_rule_gives_of_no_clip_of_the_benchmark_is_not(
    spec: tuple[int | None, str], frames: Sequence[int]
) -> None:
    assert not _of_length(FrameSpec.parse(*spec), tuple(frames), True)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.sampled_from(SPECS), st.integers(1, 2000), st.integers(1, 120))
def test_what_the_rule_gives_of_any_clip_is_accepted_where_it_is_not_of_the_benchmark(
    spec: FrameSpec, total: int, rate: int
) -> None:
    assert _of_length(spec, indices(spec, [number / rate for number in range(total)]), False)


@pytest.mark.parametrize(
    ("spec", "frames", "of_benchmark", "of_any"),
    [
        ((None, "all"), range(29), False, True),
        ((None, "all"), range(30), True, True),
        ((None, "all"), range(360), True, True),
        ((None, "all"), range(361), False, True),
        ((None, "fps:2"), (0, 30, 60), False, True),
        ((None, "fps:2"), (0, 30, 60, 89), True, True),
        ((None, "fps:2"), (0, 30, 60, 60), True, True),
        ((None, "fps:2"), range(8), True, True),
        ((None, "fps:2"), range(9), False, True),
        ((None, "fps:0.5"), (0,), True, True),
        ((None, "fps:0.5"), (0, 1, 2), False, True),
        ((None, "fps:0.5"), (0, 360), True, True),
        ((None, "fps:0.5"), (0, 361), False, True),
        ((None, "fps:0.5"), (0, MAX_DECODED - 1), False, True),
        ((None, "fps:0.5"), (0, MAX_DECODED), False, False),
        ((None, "fps:0.5"), (), False, False),
        ((1, "endpoints"), (MAX_DECODED // 2,), False, True),
        ((2, "endpoints"), (0, MAX_DECODED - 1), False, True),
        ((2, "endpoints"), (0, MAX_DECODED), False, False),
        ((2, "endpoints"), (0, 0), False, True),
        ((2, "endpoints"), (-1, -1), False, False),
        ((2, "endpoints"), (), False, False),
    ],
)
def test_clips_of_the_benchmark_have_three_seconds_and_others_as_many_frames_as_decode(
    spec: tuple[int | None, str], frames: Sequence[int], of_benchmark: bool, of_any: bool
) -> None:
    for benchmark, sound in ((True, of_benchmark), (False, of_any)):
        assert _of_length(FrameSpec.parse(*spec), tuple(frames), benchmark) == sound


def answered(folder: Path, spec: FrameSpec | None, **shown: tuple[tuple[int, ...], str | None]) -> RunRecord:
    """A run with an answer for each clip, or for `a_0__1` for question 1 of it, on these frames of a file."""
    with open_run(folder / "r", frames=spec) as record:
        for name, (frames, sha256) in shown.items():
            one = name.replace("__", "#")
            record.add(Answer(id=one, text="x", answer="x", frames=frames, clip_sha256=sha256))
    return RunRecord.read(folder / "r")


def test_all_answers_on_a_clip_are_given_on_the_same_frames_of_the_same_file(tmp_path: Path) -> None:
    one, other, spec = (22, 67), (15, 45), FrameSpec(count=2)
    first, second = "0" * 16, "1" * 16

    def found(name: str, shown: tuple[tuple[int, ...], str | None]) -> list[str]:
        record = answered(tmp_path / name, spec, a_0__1=(one, first), b_0__1=(other, second), a_0__2=shown)
        return list(frame_faults(record, {}, benchmark=True))

    assert found("same", (one, first)) == []
    alone(found("frames", (other, first)), "a_0#1", "a_0#2")
    alone(found("file", (one, second)), "a_0#1", "a_0#2")


def test_where_no_frames_are_shown_none_are_listed(tmp_path: Path) -> None:
    assert list(frame_faults(answered(tmp_path / "1", None, a_0=((), None)), {}, benchmark=True)) == []
    record = answered(tmp_path / "2", None, b_0=((), None), a_0=((1,), None))
    alone(list(frame_faults(record, {}, benchmark=True)), "a_0")


UNEVEN = [0.0, 0.01, 0.02, 0.9, 1.8, 2.6, 2.9]  # seconds


def test_frames_are_those_of_the_very_clip_where_it_is_at_hand(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a_0.mp4", frames=90, size=(64, 64))
    uneven = write_clip(tmp_path / "b_0.mp4", size=(64, 64), times=UNEVEN)
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    own, foreign = file_sha256(video)[:16], "0" * 16
    of_90, of_100, twice = (22, 67), (25, 75), FrameSpec.parse(None, "fps:2")
    rated = decode(uneven, twice).indices
    assert rated != indices(twice, [number / 30 for number in range(len(UNEVEN))])
    for place, (spec, frames, sha256, file, sound) in enumerate(
        (
            (FrameSpec(count=2), of_90, own, video, True),
            (FrameSpec(count=2), of_90, None, video, True),
            (FrameSpec(count=2), of_100, own, video, False),
            (FrameSpec(count=2), of_100, None, video, False),
            (FrameSpec(count=2), of_100, foreign, video, True),
            (FrameSpec(count=2), of_100, own, None, True),
            (FrameSpec(count=2), of_100, None, tmp_path / "torn.mp4", True),
            (FrameSpec(count=2), (25, 80), foreign, video, False),
            (twice, (0, 15, 30, 45, 60, 75), own, video, True),
            (twice, (0, 15, 30, 45, 60, 76), own, video, False),
            (twice, rated, None, uneven, True),
        )
    ):
        record = answered(tmp_path / str(place), spec, b_1=(frames, foreign), a_0=(frames, sha256))
        faults = list(frame_faults(record, {"a_0": file} if file else {}, benchmark=True))
        assert not faults if sound else len(faults) == 1, (place, faults)


@pytest.mark.parametrize("seconds", [1, 2])
def test_frames_of_another_rate_are_not_those_of_the_clip(tmp_path: Path, seconds: int) -> None:
    """Other clips than those of the benchmark may be as long as such frames are apart."""
    video = write_clip(tmp_path / "a_0.mp4", frames=12, fps=2, size=(64, 64))
    spec = FrameSpec.parse(None, "fps:2")
    for frames, sound in ((range(12), True), (indices(spec, [seconds * n for n in range(12)]), False)):
        record = answered(tmp_path / str(sound), spec, a_0=(tuple(frames), file_sha256(video)[:16]))
        assert bool(list(frame_faults(record, {"a_0": video}, benchmark=False))) != sound


def test_clips_that_were_other_files_are_told(tmp_path: Path) -> None:
    videos = {name: tmp_path / f"{name}.mp4" for name in ("a_0", "b_0", "c_0")}
    for name, video in videos.items():
        video.write_text(name)
    own = file_sha256(videos["a_0"])[:16]
    record = answered(
        tmp_path, FrameSpec(count=1), a_0__1=((45,), own), b_0__1=((45,), own), d_0=((45,), own)
    )
    assert other_files(record, videos) == ["b_0"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a baseline that sees the clips of the sample set. Do not change it."""
    folder = tmp_path_factory.mktemp("sample")
    done = bench("caption", "--model", "nearest-clip", "--data", "sample", "--run", "r", *FAST, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "r"


def show(folder: Path, how: Any, frames: Sequence[int], **changed: Any) -> None:
    """Change the rule and the frames that were shown, in all places."""
    for name in ("run.json", "scorecard.json"):
        edit(folder / name, lambda content: content["settings"].update(frames=how))
    edit(folder / "scorecard.json", lambda card: card["model"].update(frames=how, frame_count=len(frames)))
    edit_journal(folder, lambda lines: [one.update(frames=list(frames), **changed) for one in lines])


UNIFORM = {"how": "uniform", "count": 2}
CASES = [
    (None, [1, 2, 3], "lists frames, but none are shown"),
    (UNIFORM, [-5, 3], "are not those that uniform:2 shows"),
    (UNIFORM, [25, 75], "are not those that uniform:2 shows"),  # of a clip of 100 frames
    ({"how": "fps", "rate": 2.0}, list(range(500)), "are not those that fps:2 shows"),
    ({"how": "uniform", "count": 8}, list(range(8)), "are not those that uniform:8 shows"),
    ({"how": "all"}, list(range(91)), "are not those that all shows"),
]


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize(("how", "frames", "problem"), CASES)
def test_frames_that_nobody_was_shown_are_refused(
    sample: Path, tmp_path: Path, how: Any, frames: list[int], problem: str
) -> None:
    folder = pack(RunRecord.read(sample), tmp_path)
    show(folder, how, frames)
    assert any(problem in line for line in check(folder, SAMPLE_FOLDER).problems)


@pytest.mark.slow
def test_frames_of_other_files_are_noted(sample: Path, tmp_path: Path) -> None:
    folder = pack(RunRecord.read(sample), tmp_path)
    assert check(folder, SAMPLE_FOLDER).notes == ["made on the sample set of 14 clips: no benchmark"]
    show(folder, UNIFORM, [25, 75], clip_sha256="0" * 16)
    found = check(folder, SAMPLE_FOLDER)
    assert found.problems == []
    assert any(line.startswith("14 clips were other files than here: ") for line in found.notes)
    show(folder, UNIFORM, [25, 75], clip_sha256="")
    assert any(
        "name the file of their clip by no hash" in line for line in check(folder, SAMPLE_FOLDER).problems
    )
