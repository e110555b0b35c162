import json
from typing import Any

import pytest

from microg_bench.errors import UsageError
from microg_bench.records import FinishReason, Message, Prompt, Response, Text
from microg_bench.structured import (
    MAX_ALTERNATIVES,
    MAX_ANSWER,
    MAX_LEVELS,
    MAX_SCHEMA,
    asked_again,
    misfit,
    read_json,
    read_schema,
    unfit,
)
from tests.helpers.schemas import FITS, MISFITS, VERDICT, closed


def refusal(schema: Any) -> str:
    with pytest.raises(UsageError) as caught:
        read_schema(schema if isinstance(schema, str) else json.dumps(schema))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_fitting_answer_is_read_whatever_white_space_is_around_it() -> None:
    assert unfit(Response(id="a", text=f"\n {FITS}\n"), VERDICT) is None
    assert read_json(f"\n {FITS}\n")["facts"] == [{"n": 2}]


@pytest.mark.parametrize(("text", "ended", "word"), MISFITS.values(), ids=MISFITS)
def test_what_is_no_answer_is_a_failure_with_one_line(text: str, ended: FinishReason, word: str) -> None:
    said = Response(id="a", text=text, finish_reason=ended)
    failure = unfit(said, VERDICT)
    assert failure is not None
    assert (failure.id, failure.stage, failure.response) == ("a", "parse", said)
    assert word in failure.reason
    assert "\n" not in failure.reason


HOSTILE = {
    "deep": "[" * 100_000,
    "deep objects": '{"a":' * 500 + "1" + "}" * 500,
    "long": FITS + " " * MAX_ANSWER,
    "digits": '{"verdict": ' + "9" * 5000 + "}",
    "many": '{"facts": [' + ",".join(["{}"] * 20_000) + "]}",
    "surrogate": '{"verdict": "\ud800"}',
    "terminal": '{"\x1b[2J\r\n": "\x1b]0;title\x07"}',
    "long key": json.dumps({"k" * 90_000: 1}),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_answers_are_refused_in_a_short_line(text: str) -> None:
    why = misfit(text, VERDICT)
    assert why is not None
    assert len(why) <= 400
    assert why.isprintable()


WORD = {"type": "string"}
REFUSED: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "Expecting"),
    "no object": ([], "object"),
    "another type": ({"type": "array", "items": WORD}, "object"),
    "a reference": (closed(a={"$ref": "https://example.org/schema.json"}), "$.properties.a"),
    "a loop": ({**closed(), "$ref": "#"}, "$ref"),
    "a pattern": (closed(a={"type": "string", "pattern": "(a+)+$"}), "pattern"),
    "no schema": (closed(a=True), "$.properties.a"),
    "no type": (closed(a={}), "type"),
    "a wrong type": (closed(a={"type": "word"}), "$.properties.a.type"),
    "open": ({"type": "object", "properties": {"a": WORD}, "required": ["a"]}, "additionalProperties"),
    "optional": ({**closed(a=WORD), "required": []}, "required"),
    "open inside": (closed(a={"type": "array", "items": {"type": "object"}}), "$.properties.a.items"),
    "an odd word": (closed(a={"type": ["string", "null"], "enum": ["a", None]}), "enum"),
    "no items": (closed(a={"type": "array"}), "items"),
    "beside anyOf": (closed(a={"anyOf": [WORD], "type": "string"}), "anyOf"),
    "anyOf in anyOf": (closed(a={"anyOf": [{"anyOf": [WORD]}]}), "anyOf"),
    "many alternatives": (closed(a={"anyOf": [WORD] * (MAX_ALTERNATIVES + 1)}), str(MAX_ALTERNATIVES)),
    "long": (closed(a={"type": "string", "enum": ["x" * MAX_SCHEMA]}), f"{MAX_SCHEMA:,}"),
    "key twice": ('{"type": "object", "type": "object"}', "twice"),
    "properties no object": ('{"type": "object", "properties": 3}', "$.properties"),
}


@pytest.mark.parametrize(("schema", "word"), REFUSED.values(), ids=REFUSED)
def test_schemas_that_not_every_engine_enforces_are_refused(schema: Any, word: str) -> None:
    assert word in refusal(schema)


def test_levels_are_bounded() -> None:
    def nested(levels: int) -> dict[str, Any]:
        return closed(a=nested(levels - 1)) if levels > 1 else closed()

    assert read_schema(json.dumps(nested(MAX_LEVELS)))["type"] == "object"
    assert str(MAX_LEVELS) in refusal(nested(MAX_LEVELS + 1))
    assert "deep" in refusal("[" * MAX_SCHEMA)


def test_alternatives_and_null_are_usable() -> None:
    either = {"anyOf": [closed(text=WORD), {"type": "null"}], "description": "None where there is none."}
    schema = json.dumps(closed(span=either, note={"type": ["string", "null"]}))
    assert misfit('{"span": {"text": "a"}, "note": null}', schema) is None
    assert misfit('{"span": null, "note": "b"}', schema) is None
    assert misfit('{"span": "a", "note": null}', schema) is not None


def test_asking_again_shows_the_answer_and_what_is_wrong_with_it() -> None:
    first = Prompt(messages=(Message(role="user", parts=(Text(text="Judge."),)),))
    again = asked_again(first, "right!", "it is no JSON", VERDICT)
    assert again.messages[:1] == first.messages
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    texts = ["".join(part.text for part in one.parts if isinstance(part, Text)) for one in again.messages]
    assert texts[1] == "right!"
    assert "it is no JSON" in texts[2]
    assert VERDICT in texts[2]
