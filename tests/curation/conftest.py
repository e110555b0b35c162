"""Curations by detectors that register as those of other packages do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.videos import write_clip

ROOT = Path(__file__).parents[2]
PLUGIN = """[microg_bench.detectors]
scripted = tests.helpers.scripted_detector:Scripted
ssd = tests.helpers.ssd:Ssd
broken = tests.helpers.scripted_detector:Nothing
number = tests.helpers.scripted_detector:BRIGHT
"""
Curate = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a package is installed that registers detectors."""
    folder = tmp_path_factory.mktemp("plugin")
    facts = folder / "lab_detectors-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-detectors\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(PLUGIN)
    return folder


@pytest.fixture
def environment(plugin: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds the detectors."""
    path = os.pathsep.join([str(ROOT), str(plugin), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "SCRIPTED": json.dumps({"folder": str(tmp_path)})}


@pytest.fixture
def curate(environment: dict[str, str], tmp_path: Path) -> Curate:
    """Runs `microg-bench curate` with the scripted detector, as it is told to behave."""

    def run(
        *arguments: object, detector: str = "scripted", **wanted: Any
    ) -> subprocess.CompletedProcess[str]:
        scripted = json.dumps({"folder": str(tmp_path), **wanted})
        command = [sys.executable, "-m", "microg_bench", "curate", *map(str, arguments)]
        own = ["--detector", detector] if detector else []
        return subprocess.run(
            [*command, *own],
            env={**environment, "SCRIPTED": scripted, "COLUMNS": "200"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def scene(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A bright second clip between dark ones, with dots that move."""
    width, height = size
    image = np.full((height, width, 3), 180 if 90 <= number < 180 else 60, np.uint8)
    for k in range(12):
        left, top = (31 * k + number) % (width - 4), (47 * k) % (height - 4)
        image[top : top + 4, left : left + 4] = 255
    return image


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds, of which seconds 3 to 6 are bright."""
    return write_clip(tmp_path_factory.mktemp("footage") / "orbit.mp4", 300, draw=scene)
