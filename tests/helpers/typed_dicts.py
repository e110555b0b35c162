"""Holds JSON against the `TypedDict`s of a client, which type checkers read and nothing enforces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

NO_SUCH, NOTHING = "no such field", "nothing"
TAGS = ("role", "type")  # which tell the members of a union apart


@dataclass(frozen=True)
class Misfit:
    """The first thing that is not as described; `wanted` may be `NO_SUCH`, `found` may be `NOTHING`."""

    place: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"Invalid value for '{self.place}': expected {self.wanted}, but got {self.found}."


def misfit(value: Any, hint: Any, place: str = "") -> Misfit | None:
    """What in `value`, parsed from JSON, is not as the type `hint` says; None where all is."""
    origin: Any = get_origin(hint)
    inner = get_args(hint)
    if is_typeddict(hint):
        return _of_fields(value, hint, place)
    if origin in (Required, NotRequired):  # type: ignore[comparison-overlap]
        return misfit(value, inner[0], place)
    if origin in (Union, UnionType):
        found = [misfit(value, one, place) for one in inner]
        return None if None in found else max((one for one in found if one), key=_fitting)
    if origin is Literal:
        return None if value in inner else Misfit(place, f"one of {list(inner)}", repr(value))
    if origin is not None and issubclass(origin, Mapping):
        return None if isinstance(value, dict) else _wrong(value, "object", place)
    if origin is not None and (issubclass(origin, Iterable) or origin.__name__ == "SequenceNotStr"):
        return _of_items(value, inner[0], place)
    if origin is not None:  # such as a path, which JSON has not
        return _wrong(value, str(hint), place)
    return None if _is(value, hint) else _wrong(value, getattr(hint, "__name__", str(hint)), place)


def _fitting(one: Misfit) -> tuple[int, bool]:
    """How well a member of a union fits: the one that is meant fits furthest, and has the right tag."""
    above, _, name = one.place.rpartition(".")
    tagged = name not in TAGS
    return len(one.place if tagged else above), tagged


def _of_fields(value: Any, kind: Any, place: str) -> Misfit | None:
    if not isinstance(value, dict):
        return _wrong(value, "object", place)
    fields, dot = get_type_hints(kind, include_extras=True), "." if place else ""
    for name, hint in sorted(fields.items(), key=lambda field: field[0] not in TAGS):
        if name in value:
            if (found := misfit(value[name], hint, f"{place}{dot}{name}")) is not None:
                return found
        elif get_origin(hint) is Required:
            return Misfit(f"{place}{dot}{name}", "a value", NOTHING)
    return next((Misfit(f"{place}{dot}{name}", NO_SUCH, "one") for name in value if name not in fields), None)


def _of_items(value: Any, hint: Any, place: str) -> Misfit | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return _wrong(value, "array", place)
    found = (misfit(one, hint, f"{place}[{k}]") for k, one in enumerate(value))
    return next((one for one in found if one is not None), None)


def _is(value: Any, kind: Any) -> bool:
    if kind in (Any, object):
        return True
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _wrong(value: Any, wanted: str, place: str) -> Misfit:
    return Misfit(place, wanted, type(value).__name__)
