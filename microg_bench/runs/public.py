"""A run as others may see it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microg_bench.privacy import outgoing
from microg_bench.runs.record import RunFile, RunRecord
from microg_bench.storage import read_journal

_TOLD = ("served_model", "served_version", "reason")  # by a server, which may name places


def public(record: RunRecord) -> RunRecord:
    """The run of `record`, which is in a folder of this machine, without anything private.

    What the model said is left word for word. The options stay as they were given: they are not shown.
    """
    settings, starts = outgoing(record.settings), outgoing(record.starts)
    content = RunFile(options=record.options, settings=settings, starts=starts)
    shown = RunRecord(record.path, content, _lines, migrated=record.migrated)
    if record.is_scored:
        shown.scorecard = outgoing(record.scorecard)
    return shown


def _lines(journal: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    return ((number, _without_places(line)) for number, line in read_journal(journal))


def _without_places(line: dict[str, Any]) -> dict[str, Any]:
    told = {name: outgoing(line[name]) for name in _TOLD if name in line}
    response = line.get("response")
    inside = {"response": _without_places(response)} if isinstance(response, dict) else {}
    return {**line, **told, **inside}
