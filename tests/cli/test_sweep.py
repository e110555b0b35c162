"""`microg-bench sweep`: an ablation in one command, that can be resumed."""

import json
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from tests.helpers.datasets import bench, make_dataset, without

pytestmark = pytest.mark.heavy

FAST = ("--metrics", "CIDEr,ROUGE-L")
IDS = ["a_000", "a_001", "b_000"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture
def plots() -> None:
    pytest.importorskip("matplotlib")


@pytest.mark.usefixtures("plots")
def test_every_number_of_frames_with_every_prompt_is_a_run_of_its_own(data: Path, tmp_path: Path) -> None:
    command = ("sweep", "--model", "nearest-clip", "--data", data, "--frames", "1,3", "--run", "s", *FAST)
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s" / "sweep.md").read_text() in done.stdout
    charts = [f"{task}-frames.{ending}" for task in ("caption", "vqa") for ending in ("png", "svg")]
    assert done.stdout.splitlines()[-5:] == ["s/sweep.md", *(f"s/{name}" for name in charts)]
    drawn = [(tmp_path / "s" / name).read_bytes() for name in charts]
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
    assert [(tmp_path / "s" / name).read_bytes() for name in charts] == drawn


@pytest.mark.usefixtures("plots")
def test_a_sweep_over_prompts_ends_in_bars(data: Path, tmp_path: Path) -> None:
    command = ("sweep", "--model", "blind", "--data", data, "--prompt", "default,plain", "--run", "s", *FAST)
    done = bench(*command, "--tasks", "vqa", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["s/vqa-metrics.png", "s/vqa-metrics.svg"]
    words = (tmp_path / "s" / "vqa-metrics.svg").read_text()
    assert "<!-- default -->" in words and "<!-- plain -->" in words


def test_without_the_extra_a_sweep_ends_in_a_table_and_one_line(data: Path, tmp_path: Path) -> None:
    done = bench(
        "sweep", "--model", "constant", "--data", data, "--prompt", "default", "--run", "s", *FAST,
        cwd=tmp_path, env=without(tmp_path, "matplotlib"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\ns/sweep.md\n")
    (line,) = [line for line in done.stderr.splitlines() if "chart" in line]
    assert line.startswith("no chart: drawing needs an extra") and "microg-bench[plots]" in line
    assert not list((tmp_path / "s").glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frames", "1,x"), "--frames: 1,x: give numbers"),
        (("--frames", "2,2"), "two configurations have the name frames2-default"),
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


def test_what_is_printed_and_written_is_what_the_api_gives(data: Path, tmp_path: Path) -> None:
    command = ("sweep", "--model", "nearest-clip", "--data", data, "--frames", "1,2", "--tasks", "caption")
    done = bench(*command, "--run", "cli", *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    options: dict[str, Any] = {"frames": [1, 2], "metrics": FAST[1], "progress": None}
    found = mb.sweep("nearest-clip", data, "caption", run=tmp_path / "api", **options)
    assert done.stdout.startswith(f"{found.table()}\ncli/sweep.md\n")
    assert (tmp_path / "cli" / "sweep.md").read_text() == found.table()
    for name, results in found.items():
        for file in ("scorecard.json", "predictions.json", "statistics.npz", "table.md"):
            here, there = tmp_path / "cli" / name / "caption" / file, results.folder / file
            assert here.read_bytes() == there.read_bytes(), file
