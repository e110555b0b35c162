"""Writes result files whole or not at all: to a temporary name first, then renamed into place."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from microg_bench.errors import RunError


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, replacing what was there in one step.

    Raises:
        RunError: the file cannot be written; what was there before is intact.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see `write_bytes`. A lone surrogate, which has no UTF-8 form, becomes "?"."""
    write_bytes(path, text.encode(errors="replace"))


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON in a stable layout: two spaces, the order given, a line break at the end.

    Raises:
        RunError: see `write_bytes`.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=True) + "\n")
