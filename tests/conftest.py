"""Fixtures shared by all tests."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.engines.registry import ENGINES
from tests.helpers.browser import launched
from tests.helpers.datasets import bench, record, write_annotations
from tests.helpers.fault_server import FaultServer
from tests.helpers.tiny_qwen import build_tiny_qwen

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def _transformers() -> None:
    if ENGINES["transformers"].missing():
        pytest.skip("the extra transformers is not installed")


@pytest.fixture(scope="session")
def tiny_qwen(_transformers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random-weight Qwen2.5-VL checkpoint, built once. Copy it before changing it."""
    return build_tiny_qwen(tmp_path_factory.mktemp("checkpoints") / "tiny-qwen")


@pytest.fixture(scope="session")
def thinking_qwen(_transformers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_qwen`, of a model that thinks before it answers."""
    return build_tiny_qwen(tmp_path_factory.mktemp("checkpoints") / "thinking-qwen", seed=5, thinks=True)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server on loopback that says what the test has it say."""
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"shared/ data absent: {folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def scored_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scored runs of both tasks, made on three clips of two sources. Do not change it."""
    place = tmp_path_factory.mktemp("scored")
    records = [record(name, n) for n, name in enumerate(("a_001", "a_002", "b_001"), start=1)]
    data = write_annotations(place / "refs.json", records)
    done = bench(
        "run", "--model", "blind", "--data", data, "--run", "r", "--metrics", "CIDEr,ROUGE-L", cwd=place
    )
    assert done.returncode == 0, done.stderr
    return place / "r"


@pytest.fixture
def scored(scored_once: Path, tmp_path: Path) -> Path:
    """A copy of those runs, `r` in the test's own folder, that may be changed."""
    return Path(shutil.copytree(scored_once, tmp_path / "r"))


@pytest.fixture
def forged(scored: Path, tmp_path: Path) -> tuple[Path, Path, str]:
    """Those runs in `subs`, packed: captions (with a CIDEr that was edited), answers; and their dataset."""
    done = bench("submit", "pack", "r", "--into", "subs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    caption, vqa = sorted((tmp_path / "subs").iterdir())
    card = json.loads((caption / "scorecard.json").read_text())
    card["scores"]["CIDEr"].update(value=1.0, interval=[0.0, 2.0])
    (caption / "scorecard.json").write_text(json.dumps(card))
    data = json.loads((scored / "vqa" / "run.json").read_text())["options"]["data"]
    return caption, vqa, data


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium for the tests of one module."""
    with launched() as chromium:
        yield chromium
