"""Writes result files whole or not at all: to a temporary name first, then renamed into place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from microg_bench.errors import RunError


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, replacing what was there in one step.

    Raises:
        RunError: the file cannot be written; what was there before is intact.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON in a stable layout: two spaces, the order given, a line break at the end.

    Raises:
        RunError: see `write_text`.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=True) + "\n")
