"""Fixtures for adapters at work: tiny checkpoints, and the way that engines are fed in their own tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.conftest import answer_all
from tests.helpers.tiny_models import build_tiny

__all__ = ["answer_all", "tiny"]

Tiny = Callable[[str], Path]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The folder of a checkpoint by the adapter's name, built when it is first asked for."""
    root = tmp_path_factory.mktemp("tiny-models")

    def folder(name: str) -> Path:
        if name == "smolvlm2":
            pytest.importorskip("num2words", reason="the processor of SmolVLM2 needs num2words")
        return root / name if (root / name).exists() else build_tiny(name, root / name)

    return folder
