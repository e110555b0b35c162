"""`microg-bench measure`, and the tables and charts in which its numbers stand."""

import json
import shutil
from pathlib import Path

import pytest

from microg_bench.runs.cost import add_measurement
from microg_bench.runs.record import RunRecord
from tests.helpers.datasets import bench
from tests.helpers.measured import CPU, GPU, make_measurement

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def run(tiny_qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    given = ("--data", "sample", "--metrics", "ROUGE-L", "--limit", "3", "--max-tokens", "4", "--frames", "2")
    done = bench("caption", "--model", f"transformers:{tiny_qwen}", *given, "--run", "r", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_table_and_json_tell_what_the_file_holds(run: Path) -> None:
    done = bench("measure", "r", "--sample", "2", cwd=run)
    assert done.returncode == 0, done.stderr
    file = run / "r" / "cost.json"
    (one,) = json.loads(file.read_text())["measurements"]
    assert done.stdout.splitlines()[-1] == str(file.relative_to(run))
    assert f"{one['hardware']['cores']} core" in done.stdout.splitlines()[0]
    assert "2 requests about 2 clips" in done.stdout
    done = bench("measure", "r", "--sample", "1", "--json", cwd=run)
    assert json.loads(done.stdout) == {"r": json.loads(file.read_text())}


def test_runs_that_cannot_be_measured_are_named_and_the_others_are(run: Path) -> None:
    folder = run / "several"
    shutil.copytree(run / "r", folder / "last")
    shutil.copytree(run / "r", folder / "damaged")
    (folder / "damaged" / "run.json").write_text("{")
    given = ("--data", "sample", "--metrics", "ROUGE-L", "--limit", "3")
    assert bench("caption", "--model", "blind", *given, "--run", "several/first", cwd=run).returncode == 0
    done = bench("measure", "several", "--sample", "1", cwd=run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "several/last/cost.json"
    lines = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert [line.split(": ")[1] for line in lines] == ["several/damaged/run.json", "several/first"]
    assert "no weights" in lines[1]


def test_where_no_run_can_be_measured_each_is_named(scored: Path, tmp_path: Path) -> None:
    for options in ((), ("--json",)):
        done = bench("measure", "r", *options, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "{}\n" if options else "")
        first, second = done.stderr.splitlines()
        assert first.startswith("left out: r/caption: its model has no weights")
        assert second.startswith("left out: r/vqa: its model has no weights")


def measured(folder: Path, *titles: str) -> None:
    """Copies of the runs in `folder`, beside it, with measurements on two kinds of hardware."""
    for title in titles:
        copy = Path(shutil.copytree(folder / "vqa", folder.parent / title))
        file = copy / "scorecard.json"
        card = json.loads(file.read_text())
        file.write_text(json.dumps({**card, "model": {**card["model"], "title": title}}))
        for hardware in (CPU, GPU):
            add_measurement(RunRecord.read(copy), make_measurement(hardware))


def test_tables_and_charts_have_one_for_each_hardware(scored: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    measured(scored, "a", "b")
    done = bench("tables", "--runs", "a", "--runs", "b", "--out", "t", "--format", "md,json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tables = json.loads((tmp_path / "t" / "on-board.json").read_text())
    assert [one["hardware"] for one in tables] == [CPU.title, GPU.title]
    assert (tmp_path / "t" / "on-board.md").read_text().count("on board: ") == 2
    done = bench("plots", "a", "b", "--out", "p", "--metric", "ROUGE-L", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = sorted(path.name for path in (tmp_path / "p").glob("*on-board*.svg"))
    assert drawn == ["vqa-on-board-board-cpu-8-cores.svg", "vqa-on-board-board-gpu.svg"]
    done = bench("plots", "a", "--out", "p", "--metric", "Beauty", cwd=tmp_path)
    assert done.returncode == 1 and "--metric" in done.stderr
