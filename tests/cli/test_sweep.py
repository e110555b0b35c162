"""`microg-bench sweep`: an ablation in one command, that goes on where it was."""

import json
from pathlib import Path

import pytest

from tests.helpers.datasets import bench, make_dataset

FAST = ("--metrics", "CIDEr,ROUGE-L")
IDS = ["a_000", "a_001", "b_000"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def test_every_number_of_frames_with_every_prompt_is_a_run_of_its_own(data: Path, tmp_path: Path) -> None:
    command = ("sweep", "--model", "nearest-clip", "--data", data, "--frames", "1,3", "--run", "s", *FAST)
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s" / "sweep.md").read_text() in done.stdout
    for frames in (1, 3):
        for task in ("caption", "vqa"):
            card = json.loads(
                (tmp_path / "s" / f"frames{frames}-default" / task / "scorecard.json").read_text()
            )
            assert card["model"]["frame_count"] == frames
            assert (
                f"| frames{frames}-default | {frames} | {card['scores']['CIDEr']['value']:.2f}" in done.stdout
            )
    journals = sorted((tmp_path / "s").rglob("journal.jsonl"))
    before = [path.read_bytes() for path in journals]
    again = bench(*command, cwd=tmp_path)
    assert again.stdout == done.stdout
    assert [path.read_bytes() for path in journals] == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frames", "1,x"), "--frames 1,x: give numbers"),
        (("--frames", "2,2"), "two points of the sweep have the name frames2-default"),
        (("--frames", "1,2", "--sampling", "fps:2"), "sets the number of frames itself"),
        (("--prompt", "defualt"), "did you mean default"),
        (("--frames", "0"), "the number of frames must be 1 to"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    data: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = bench("sweep", "--model", "nearest-clip", "--data", data, "--run", "s", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
