"""A cache of the hub client with checkpoints in it, as downloads leave it."""

from __future__ import annotations

import shutil
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fill_cache(cache: Path, checkpoint: Path, name: str = "org/tiny", commit: str = COMMIT) -> str:
    """Lay the folder `checkpoint` into `cache` as the newest `commit` of `name`; returns the commit."""
    model = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(checkpoint, model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    return commit
