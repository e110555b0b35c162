"""Clips that the tests of this package share, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.videos import write_clip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-second H.264 mp4 of 30 frames of 320x240 with B-frames, its header in front."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_clip(path, frames=30, options={"bf": "3"}, muxer={"movflags": "faststart"})
