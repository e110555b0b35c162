"""Answers in a JSON schema: which schemas can be used, and whether a response fits its own.

Usable are the keywords that OpenAI, Gemini, vLLM and other servers all enforce, so that a schema means the
same to every engine. They have no references and no patterns: the time of a check is bounded by the sizes of
schema and answer.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from microg_bench.errors import UsageError
from microg_bench.records import Failure, FinishReason, Message, Prompt, Response, Text
from microg_bench.text import first_line, strict_json

MAX_SCHEMA = 20_000  # characters of a schema
MAX_LEVELS = 10  # of schemas inside each other, as OpenAI allows
MAX_ALTERNATIVES = 16  # of one anyOf
MAX_ANSWER = 100_000  # characters of an answer

_KEYWORDS = frozenset({
    *("type", "title", "description", "enum", "anyOf"),
    *("properties", "required", "additionalProperties"),
    *("items", "minItems", "maxItems", "minimum", "maximum"),
})  # fmt: skip
_ENDED: dict[FinishReason, str] = {
    "length": "it was cut at the limit of tokens",
    "content_filter": "the content filter stopped it",
    "refusal": "the model declined to answer",
}


@lru_cache(maxsize=64)
def read_schema(text: str) -> dict[str, Any]:
    """The JSON schema in `text`, which must not be changed.

    Raises:
        UsageError: it is none, is larger or deeper than allowed, or not every engine enforces it.
    """
    try:
        return _read(text)
    except ValueError as error:
        raise UsageError(f"cannot be used: {error}", item="answer schema") from None


def _read(text: str) -> dict[str, Any]:
    if len(text) > MAX_SCHEMA:
        raise ValueError(f"it has {len(text):,} characters, {MAX_SCHEMA:,} are allowed")
    schema = strict_json(text.encode())
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ValueError("it must describe an object")
    _check_levels(schema)
    _check_types(schema)
    for place, one in _schemas(schema, "$"):
        if fault := _fault(one):
            raise ValueError(f"{first_line(place, 100)}: {fault}")
    return schema


def _check_levels(schema: Any) -> None:
    level, depth = [schema], 0
    while level := [inner for one in level for _, inner in _inner(one)]:
        depth += 1
        if depth >= MAX_LEVELS:
            raise ValueError(f"it has more than {MAX_LEVELS} levels")


def _check_types(schema: dict[str, Any]) -> None:
    """Raise where a keyword has a value of the wrong type."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"{error.json_path}: {first_line(error.message, 200)}") from None


def _schemas(schema: Any, place: str) -> Iterator[tuple[str, Any]]:
    """A schema and all inside it, each with its place."""
    yield place, schema
    for name, inner in _inner(schema):
        yield from _schemas(inner, f"{place}.{name}")


def _inner(schema: Any) -> list[tuple[str, Any]]:
    """The schemas directly inside one."""
    if not isinstance(schema, dict):
        return []
    named, choices = schema.get("properties"), schema.get("anyOf")
    found = [(f"properties.{name}", one) for name, one in named.items()] if isinstance(named, dict) else []
    found += [(f"anyOf[{k}]", one) for k, one in enumerate(choices)] if isinstance(choices, list) else []
    return found + ([("items", schema["items"])] if "items" in schema else [])


def _fault(schema: Any) -> str | None:
    """Why not every engine enforces a schema, those inside it apart."""
    if not isinstance(schema, dict):
        return "give a schema in place of true or false"
    if unknown := sorted(schema.keys() - _KEYWORDS):
        return (
            f"not every engine enforces {first_line(unknown[0], 60)} (usable: {', '.join(sorted(_KEYWORDS))})"
        )
    return _choice_fault(schema) if "anyOf" in schema else _type_fault(schema)


def _type_fault(schema: dict[str, Any]) -> str | None:
    if "type" not in schema:
        return "give a type or anyOf"
    if not {type(one) for one in schema.get("enum", ())} <= {str, int, float}:
        return "enum has something else than strings and numbers"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "array" in types and "items" not in schema:
        return "an array needs items"
    return _object_fault(schema) if "object" in types else None


def _object_fault(schema: dict[str, Any]) -> str | None:
    if schema.get("additionalProperties") is not False:
        return "an object needs additionalProperties: false"
    if sorted(schema.get("properties", {})) != sorted(schema.get("required", [])):
        return 'an object needs all its properties in required; one may be null: "type": ["string", "null"]'
    return None


def _choice_fault(schema: dict[str, Any]) -> str | None:
    choices = schema["anyOf"]
    if schema.keys() - {"anyOf", "title", "description"}:
        return "anyOf stands alone"
    if len(choices) > MAX_ALTERNATIVES:
        return f"anyOf has {len(choices)} alternatives, {MAX_ALTERNATIVES} are allowed"
    if any("anyOf" in one for one in choices if isinstance(one, dict)):
        return "anyOf stands directly in anyOf"
    return None


def unfit(said: Response, schema: str) -> Failure | None:
    """The failure of a response, without its thoughts, that does not fit `schema`; None where it fits.

    One that was cut at the limit of tokens never fits.

    Raises:
        UsageError: the schema cannot be used.
    """
    if (why := misfit(said.text, schema, said.finish_reason)) is None:
        return None
    return Failure(id=said.id, stage="parse", reason=f"no answer in the schema: {why}", response=said)


def misfit(text: str, schema: str, ended: FinishReason = "stop") -> str | None:
    """Why a text that ended so does not fit `schema`, on one line; None where it does.

    Raises:
        UsageError: the schema cannot be used.
    """
    from jsonschema import Draft202012Validator

    wanted = read_schema(schema)
    if ended in _ENDED:
        return _ENDED[ended]
    try:
        found = read_json(text)
    except ValueError as error:
        return first_line(error)
    fault = next(Draft202012Validator(wanted).iter_errors(found), None)
    return fault and f"{first_line(fault.json_path, 100)}: {first_line(fault.message, 200)}"


def read_json(text: str) -> Any:
    """The JSON that an answer is, white space around it apart.

    Raises:
        ValueError: it is more or less than one JSON value, too large, or what `strict_json` refuses.
    """
    if len(text) > MAX_ANSWER:
        raise ValueError(f"it has {len(text):,} characters, {MAX_ANSWER:,} are allowed")
    try:
        return strict_json(text.strip().encode())
    except json.JSONDecodeError:
        raise ValueError(_instead(text.strip())) from None


def _instead(text: str) -> str:
    """What a text is that is not one JSON value."""
    if not text:
        return "it is empty"
    start = text.find("{")
    try:
        _, end = json.JSONDecoder().raw_decode(text, max(start, 0))
    except (ValueError, RecursionError):
        return "it is no JSON"
    if start == 0 and text[end:].lstrip().startswith("{"):
        return "it is more than one JSON object"
    return "text stands around its JSON"


def asked_again(prompt: Prompt, text: str, why: str, schema: str) -> Prompt:
    """`prompt` with the answer `text`, and with what is wrong with it."""
    told = (
        f"That is not the answer that was asked for: {why}. Answer again, with one JSON object that fits this"
        f" JSON schema, and write nothing before or after it:\n{schema}"
    )
    said = Message(role="assistant", parts=(Text(text=text),))
    return Prompt(messages=(*prompt.messages, said, Message(role="user", parts=(Text(text=told),))))
