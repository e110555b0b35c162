"""Small dataset folders with real video, and the command line as a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.helpers.videos import write_clip

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ("Who is in the video?", "What floats?")


def record(video_id: str, n: int = 0) -> dict[str, Any]:
    """An annotation record with texts of its own."""
    pairs = [
        {"Q": question, "A": f"Answer {k} about clip number {n}."} for k, question in enumerate(QUESTIONS)
    ]
    return {
        "video_id": video_id,
        "caption": f"Clip number {n} shows thing {n % 3} floating.",
        "qa_pairs": pairs,
    }


def write_annotations(path: Path, records: Sequence[Any]) -> Path:
    """Write records as the published JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(records)), encoding="utf-8")
    return path


def make_dataset(root: Path, ids: Sequence[str]) -> Path:
    """A folder in the published layout, with a small real video for each id."""
    write_annotations(root / "vqa_and_captioning.json", [record(name, n) for n, name in enumerate(ids)])
    for n, name in enumerate(ids):
        folder = root / "videos" / "real" / name.rpartition("_")[0]
        folder.mkdir(parents=True, exist_ok=True)
        write_clip(folder / f"{name}.mp4", frames=90, fps=30, size=(64 + 16 * n, 64))
    return root


def bench(
    *arguments: str | Path, cwd: Path, env: dict[str, str] | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `microg-bench` as a user does, offline, in `cwd`."""
    return subprocess.run(
        [sys.executable, "-m", "microg_bench", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200", **(env or {})},
        input=typed,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def without(folder: Path, library: str) -> dict[str, str]:
    """What makes `bench` believe that a library is not installed; `folder` is the test's own."""
    path = folder / f"without-{library}"
    path.mkdir()
    (path / f"{library}.py").write_text(f"raise ImportError(\"No module named '{library}'\")\n")
    return {"PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
