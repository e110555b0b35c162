"""A packed run on a small dataset with video, and what changes its files."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import load as load_dataset
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.check import Checked
from microg_bench.submissions.check import check as check_all
from microg_bench.submissions.pack import pack
from tests.helpers.datasets import bench, make_dataset

FAST = ("--metrics", "CIDEr,ROUGE-L")
IDS = ["a_000", "a_001", "b_000", "b_001"]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture(scope="session")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run of a baseline that sees."""
    folder = tmp_path_factory.mktemp("run")
    done = bench("vqa", "--model", "nearest-clip", "--data", data, "--run", "r", *FAST, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "r"


@pytest.fixture
def packed(run: Path, tmp_path: Path) -> Path:
    return pack(RunRecord.read(run), tmp_path)


def check(folder: Path, data: Path | None) -> Checked:
    (checked,) = check_all([folder], load_dataset(data) if data else None)
    return checked


def edit(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def edit_journal(folder: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    file = folder / "journal.jsonl.gz"
    records = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    change(records)
    file.write_bytes(gzip.compress(b"".join(json.dumps(one).encode() + b"\n" for one in records)))
