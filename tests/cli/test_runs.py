"""`--shard` and `microg-bench runs merge` from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.datasets import ROOT, bench, make_dataset

pytestmark = pytest.mark.heavy

IDS = ["a_000", "a_001", "b_000"]
SCRIPT = ROOT / "docs" / "how-to" / "slurm-array.sh"
GIVEN = ("--model", "blind", "--metrics", "ROUGE-L")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def test_shards_of_all_verbs_are_joined(data: Path, tmp_path: Path) -> None:
    for verb, more in (("run", ()), ("vqa", ()), ("sweep", ("--prompt", "default,plain"))):
        for number in (1, 2):
            command = (verb, *GIVEN, *more, "--data", data, "--run", verb, "--shard", f"{number}/2")
            done = bench(*command, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert f"microg-bench runs merge {verb} --out DIR" in done.stderr.replace("\n", " ")
            assert f"{verb}/shard-{number}-of-2" in done.stderr or verb == "sweep"
        whole = bench(verb, *GIVEN, *more, "--data", data, "--run", f"{verb}-whole", cwd=tmp_path)
        done = bench("runs", "merge", verb, "--out", f"{verb}-merged", cwd=tmp_path)
        assert done.returncode == whole.returncode == 0, done.stderr
        cards = sorted((tmp_path / f"{verb}-whole").rglob("scorecard.json"))
        assert len(cards) == {"run": 2, "vqa": 1, "sweep": 4}[verb]
        for card in cards:
            place = card.relative_to(tmp_path / f"{verb}-whole")
            assert (tmp_path / f"{verb}-merged" / place).read_bytes() == card.read_bytes()
            assert json.loads(card.read_text())["scores"]["ROUGE-L"]
            assert str(f"{verb}-merged" / place.parent) in done.stdout
        tables = [tmp_path / name / "sweep.md" for name in (f"{verb}-merged", f"{verb}-whole")]
        assert [path.is_file() for path in tables] == [verb == "sweep"] * 2
        if verb == "sweep":
            assert tables[0].read_bytes() == tables[1].read_bytes()
            assert "sweep-merged/vqa-metrics.png" in done.stdout


def test_without_a_folder_all_shards_go_below_the_same(data: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        bench("caption", *GIVEN, "--data", data, "--shard", f"{number}/2", cwd=tmp_path)
    (root,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in root.iterdir()} == {"shard-1-of-2", "shard-2-of-2"}
    done = bench("runs", "merge", root, "--out", "merged", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "merged" / "caption" / "scorecard.json").is_file()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0", "1/-2", "1/4"])
def test_a_wrong_shard_is_one_line(data: Path, tmp_path: Path, shard: str) -> None:
    done = bench("run", *GIVEN, "--data", data, "--shard", shard, cwd=tmp_path)
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: --shard: ")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_joined_is_one_line(data: Path, tmp_path: Path) -> None:
    bench("run", *GIVEN, "--data", data, "--run", "r", "--shard", "1/2", cwd=tmp_path)
    done = bench("runs", "merge", "r", "--out", "merged", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("a shard is missing of its run: 2/2")
    assert not (tmp_path / "merged").exists()


def test_the_script_for_slurm_starts_the_shard_of_its_task(data: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "microg-bench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m microg_bench "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    for task in ("1", "2"):
        variables = {"PATH": path, "SLURM_ARRAY_TASK_ID": task, "SHARDS": "2"}
        command = ["bash", str(SCRIPT), "caption", *GIVEN, "--data", str(data), "--run", "r"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "r").iterdir()} == {"shard-1-of-2", "shard-2-of-2"}


def test_runs_are_listed_shown_and_removed(tmp_path: Path) -> None:
    asked = ("vqa", "--model", "constant", "--data", "sample", "--metrics", "ROUGE-L")
    assert bench(*asked, cwd=tmp_path).returncode == 0
    [run] = json.loads(bench("runs", "list", "--json", cwd=tmp_path).stdout)
    line = bench("runs", "list", cwd=tmp_path).stdout.splitlines()[1]
    assert line.split()[:2] == [run["folder"], "complete"]
    shown = json.loads(bench("runs", "show", run["folder"], "--json", cwd=tmp_path).stdout)[0]
    assert shown["settings"]["model"] == "constant" and shown["scorecard"]["items"] == 84
    assert "ROUGE-L" in bench("runs", "show", run["folder"], cwd=tmp_path).stdout
    refused = bench("runs", "rm", run["folder"], cwd=tmp_path, typed="n\n")
    assert refused.returncode == 1 and (tmp_path / run["folder"]).is_dir()
    done = bench("runs", "rm", run["folder"], "--yes", cwd=tmp_path)
    assert done.returncode == 0 and not (tmp_path / run["folder"]).exists()
    assert bench("runs", "list", cwd=tmp_path).returncode == 1


def test_a_damaged_run_is_removed_by_its_name_alone(tmp_path: Path) -> None:
    asked = ("run", "--model", "constant", "--data", "sample", "--metrics", "ROUGE-L", "--run", "r")
    assert bench(*asked, cwd=tmp_path).returncode == 0
    (tmp_path / "r" / "vqa" / "run.json").write_text("{")
    done = bench("runs", "rm", "r", "--yes", cwd=tmp_path)
    assert done.returncode == 1 and "microg-bench runs rm r/vqa" in done.stderr
    assert [one.name for one in (tmp_path / "r").iterdir() if one.is_dir()] == ["vqa"]
    (tmp_path / "r" / "report").mkdir()
    done = bench("runs", "rm", "r/vqa", "--yes", cwd=tmp_path)
    assert done.returncode == 0 and not (tmp_path / "r" / "vqa").exists()
    assert "report" in done.stderr
