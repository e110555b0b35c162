"""With what a run was made: versions and the checkout; nothing that names a person or a machine."""

from __future__ import annotations

import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import microg_bench

PACKAGES = ("av", "numpy", "torch", "torchvision", "transformers", "accelerate", "vllm")


def provenance() -> dict[str, Any]:
    """Versions of what moves an answer, the git revision of a checkout, and when the run was started."""
    versions = {"microg-bench": microg_bench.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "git": git_revision(),
        "versions": versions,
    }


def git_revision() -> str | None:
    """The commit of the checkout that this package is imported from, `-dirty` where files differ from it."""
    root = Path(microg_bench.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
