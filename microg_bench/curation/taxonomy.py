"""What the actions mean, for people who label: definitions, groups, and how to tell neighbours apart."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from microg_bench.dataset.labels import LabelMap, read_groups
from microg_bench.errors import DataError
from microg_bench.records import Record, first_fault
from microg_bench.storage import read_text

FILE = Path(__file__).with_name("taxonomy.toml")
MAX_BYTES = 1024**2
OTHER = "other"


class ActionMeaning(Record):
    """An action: what it is, and what else it may be taken for; its name and group are the label map's."""

    id: int
    name: str
    group: str
    definition: str = ""
    neighbours: str = ""


class _Entry(Record):
    definition: str = ""
    neighbours: str = ""


def read_taxonomy(labels: LabelMap, path: Path = FILE) -> list[ActionMeaning]:
    """The actions of a label map in order, with what a taxonomy says of them; it need not have all.

    Raises:
        DataError: the file cannot be read, or has an action that is not in the label map.
    """
    try:
        content = tomllib.loads(read_text(path, MAX_BYTES).decode())
        found = {int(number): _Entry.model_validate(entry) for number, entry in content.items()}
    except (tomllib.TOMLDecodeError, ValueError) as error:
        fault = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise DataError(f"is no taxonomy: {fault}", path=path) from None
    if unknown := sorted(set(found) - set(labels.ids)):
        raise DataError(f"action {unknown[0]} is not in the label map", path=path)
    groups = read_groups()
    return [
        ActionMeaning(
            id=number,
            name=name,
            group=groups.get(number, OTHER).replace("_", " ").lower(),
            **found.get(number, _Entry()).model_dump(),
        )
        for number, name in zip(labels.ids, labels.names, strict=True)
    ]
