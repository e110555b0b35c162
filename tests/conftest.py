"""Fixtures shared by all rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.tiny_qwen import build_tiny_qwen

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random-weight Qwen2.5-VL checkpoint, built once. Copy it before changing it."""
    pytest.importorskip("transformers")
    return build_tiny_qwen(tmp_path_factory.mktemp("checkpoints") / "tiny-qwen")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"shared/ data absent: {folder} does not exist")
    return folder
