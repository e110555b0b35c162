"""Packs a scored run into a folder for others: complete, small, and with nothing private in it."""

import gzip
import json
from pathlib import Path
from typing import Any

from microg_bench.errors import RunError
from microg_bench.privacy import outgoing
from microg_bench.runs.public import public
from microg_bench.runs.record import RUN_FILE, RUN_SCHEMA, SCORECARD_FILE, RunRecord
from microg_bench.scorecard import REFERENCES, Scorecard
from microg_bench.settings import Settings
from microg_bench.storage import write_bytes, write_json
from microg_bench.submissions.check import check
from microg_bench.submissions.folder import (
    PACKED_JOURNAL,
    PUBLIC_OPTIONS,
    RUN_FILES,
    Tell,
    new_submission,
    place,
)
from microg_bench.tasks import HAR


def pack(record: RunRecord, into: Path, tell: Tell | None = None) -> Path:
    """Write the submission of a run as a folder below `into`, and return it.

    The same run packs to the same bytes. `tell` is called where another submission of it is replaced. What is
    written is checked as others check it without the references, before it stands below `into`.

    Raises:
        RunError: it has not been scored, is not complete, asks only some of the clips, shows changed frames,
            is about persons, has answers in a schema, or cannot be written; its folder holds other files; or
            the check refuses it.
    """
    if not record.scorecard.complete:
        raise RunError(record.scorecard.status, path=record.path)
    if record.settings.part:
        raise RunError(f"asks {record.settings.part}, not the whole dataset", path=record.path)
    if record.settings.task == HAR:
        file = record.scorecard.har.detections if record.scorecard.har else ""
        reason = f"is about persons: give {SCORECARD_FILE} in it, and --detections with {file} beside it"
        raise RunError(reason, path=record.path)
    if record.settings.transforms:
        raise RunError("shows changed frames, which is another benchmark", path=record.path)
    if record.settings.generation.answer_schema:
        raise RunError("has answers in a schema, which submissions do not have", path=record.path)
    journal, content, card = packed_run(record)
    evidence = journal + json.dumps(content["settings"], sort_keys=True).encode()
    folder = place(into, content["settings"]["model"], card.task, evidence)
    with new_submission(folder, RUN_FILES, tell) as new:
        write_bytes(new / PACKED_JOURNAL, gzip.compress(journal, mtime=0))
        write_json(new / RUN_FILE, content)
        write_json(new / SCORECARD_FILE, card.to_json())
        (checked,) = check([new], None)
        if checked.problems:
            raise RunError(f"cannot be submitted: {'; '.join(checked.problems)}", path=record.path)
    return folder


def packed_run(record: RunRecord) -> tuple[bytes, dict[str, Any], Scorecard]:
    """The journal, the content of run.json and the scorecard of a run, as they are packed."""
    record = public(record)
    card, settings = _named(record)
    content = {
        "schema": RUN_SCHEMA,
        "options": outgoing(
            {name: record.options[name] for name in sorted(PUBLIC_OPTIONS & record.options.keys())}
        ),
        "settings": settings.model_dump(mode="json"),
        "starts": record.starts,
    }
    return packed_answers(record), content, card


def _named(record: RunRecord) -> tuple[Scorecard, Settings]:
    """Scorecard and settings with the name of the dataset that belongs to its references."""
    card, settings = record.scorecard, record.settings
    named = {"dataset": REFERENCES.get(settings.fingerprint, settings.dataset)}
    scored = card.settings and card.settings.model_copy(update=named)
    return card.model_copy(update={**named, "settings": scored}), settings.model_copy(update=named)


def packed_answers(record: RunRecord) -> bytes:
    """The first answer to each request, one a line."""
    answers = (answer.model_dump(mode="json", exclude_none=True) for answer in record.answers.values())
    lines = ({"type": "response", **answer} for answer in answers)
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
