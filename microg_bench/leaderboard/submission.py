"""Packs a scored run into a folder for others: whole, small, and with nothing private in it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path, PurePath
from typing import Any

from microg_bench.errors import RunError
from microg_bench.files import write_bytes, write_json
from microg_bench.runs.folder import JOURNAL_FILE, RUN_FILE, read_run
from microg_bench.runs.journal import read_journal
from microg_bench.runs.scoring import SCORECARD_FILE, read_scorecard
from microg_bench.runs.settings import AnswerOptions

PACKED_JOURNAL = f"{JOURNAL_FILE}.gz"
FILES = (SCORECARD_FILE, RUN_FILE, PACKED_JOURNAL)
# A path of somebody's machine, or a file of it: /home/…, ~/…, ./…, C:\…, file://…
_PRIVATE = re.compile(r"(?:file:/*|[A-Za-z]:\\|~?/|\.\.?/)[^\s\"']*|[a-z]+://[^\s\"']*")


def pack(run: Path, into: Path) -> Path:
    """Write the submission of the run at `run` as a folder below `into`, and return it.

    The same run packs to the same bytes.

    Raises:
        RunError: it has not been scored, is not complete, asks only some of the clips, or cannot be written.
    """
    card = read_scorecard(run)
    if card.status != "complete":
        raise RunError(f"{run}: {card.status}")
    content = read_run(run)
    if content["settings"]["clips"] is not None:
        raise RunError(f"{run}: asks {len(content['settings']['clips'])} clips only, not the whole dataset")
    journal = _journal(run)
    public = {
        **content,
        "options": {name: content["options"][name] for name in sorted(_own(content["options"]))},
    }
    digest = hashlib.sha256(journal + json.dumps(content["settings"], sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", content["settings"]["model"])
    folder = into / f"{name}-{card.task}-{digest[:8]}"
    write_bytes(folder / PACKED_JOURNAL, gzip.compress(journal, mtime=0))
    write_json(folder / RUN_FILE, without_paths(public))
    write_json(folder / SCORECARD_FILE, without_paths(card.to_json()))
    return folder


def _own(options: dict[str, Any]) -> set[str]:
    """The options that tell of the model, not of the machine."""
    return options.keys() & set(AnswerOptions.model_fields)


def _journal(run: Path) -> bytes:
    """The first response to each request, one a line."""
    found: dict[str, bytes] = {}
    for record in read_journal(run / JOURNAL_FILE):
        if record["type"] == "response" and record["id"] not in found:
            found[record["id"]] = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    return b"".join(found.values())


def without_paths(content: Any) -> Any:
    """JSON `content`, in which of each path or address only the last part is left."""
    if isinstance(content, dict):
        return {key: without_paths(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_paths(value) for value in content]
    if isinstance(content, str) and _PRIVATE.match(content):
        return PurePath(content.replace("\\", "/")).name
    return content
