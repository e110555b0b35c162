"""Where the files that ship with the harness lie, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The folder `name` ("prompts", "results/published"), in the wheel or at the root of the checkout."""
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.exists() else _PACKAGE.parent / name


def sample_folder() -> Path:
    """The built-in sample set, a dataset folder in the published layout."""
    return _PACKAGE / "dataset" / "sample"
