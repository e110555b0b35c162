"""Packs a scored run into a folder for others: complete, small, and with nothing private in it."""

import gzip
import hashlib
import json
import re
from pathlib import Path

from microg_bench.errors import RunError
from microg_bench.options import Options, about
from microg_bench.privacy import without_private
from microg_bench.runs.record import JOURNAL_FILE, RUN_FILE, RUN_SCHEMA, SCORECARD_FILE, RunRecord
from microg_bench.storage import write_bytes, write_json

PACKED_JOURNAL = f"{JOURNAL_FILE}.gz"
FILES = (SCORECARD_FILE, RUN_FILE, PACKED_JOURNAL)


def pack(record: RunRecord, into: Path) -> Path:
    """Write the submission of a run as a folder below `into`, and return it.

    The same run packs to the same bytes.

    Raises:
        RunError: it has not been scored, is not complete, asks only some of the clips, or cannot be
            written.
    """
    card, settings = record.scorecard, record.settings
    if not card.complete:
        raise RunError(card.status, path=record.path)
    if settings.part:
        raise RunError(f"asks {settings.part}, not the whole dataset", path=record.path)
    journal = _journal(record)
    # Options of the model, not of the machine.
    public = {name for name in Options.model_fields if about(name).moves_answer}
    content = {
        "schema": RUN_SCHEMA,
        "options": {name: record.options[name] for name in sorted(public & record.options.keys())},
        "settings": settings.model_dump(mode="json"),
        "starts": record.starts,
    }
    digest = hashlib.sha256(journal + json.dumps(content["settings"], sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", without_private(settings.model))
    folder = into / f"{name}-{card.task}-{digest[:8]}"
    write_bytes(folder / PACKED_JOURNAL, gzip.compress(journal, mtime=0))
    write_json(folder / RUN_FILE, without_private(content))
    write_json(folder / SCORECARD_FILE, without_private(card.to_json()))
    return folder


def _journal(record: RunRecord) -> bytes:
    """The first answer to each request, one a line; a server may call its model by a path of its machine."""
    answers = (
        one.model_copy(update={"served_model": without_private(one.served_model)})
        for one in record.answers.values()
    )
    lines = ({"type": "response", **answer.model_dump(mode="json", exclude_none=True)} for answer in answers)
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
