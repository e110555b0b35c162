"""The frames of answers follow from the declared rule, and from the clip where it is at hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.frames import _of_length
from microg_bench.submissions.pack import pack
from microg_bench.video.sampling import FrameSpec, indices
from tests.helpers.datasets import bench
from tests.submissions.conftest import FAST, check, edit, edit_journal

pytestmark = pytest.mark.slow

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


@pytest.mark.heavy
@pytest.mark.parametrize(("how", "frames", "problem"), CASES)
def test_frames_that_nobody_was_shown_are_refused(
    sample: Path, tmp_path: Path, how: Any, frames: list[int], problem: str
) -> None:
    folder = pack(RunRecord.read(sample), tmp_path)
    show(folder, how, frames)
    assert any(problem in line for line in check(folder, SAMPLE_FOLDER).problems)


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
