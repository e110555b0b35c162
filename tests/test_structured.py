import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | FINITE | st.text(max_size=9)
NAMES = st.sampled_from(["a", "type", "properties", "items", "anyOf", "enum", "required", "$ref", "minItems"])
VALUES = st.sampled_from(["object", "array", "string", "a", False, ["a"], ["string", "null"]])
ANYTHING = st.recursive(
    SCALARS | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
ONE_OF_ALL = json.dumps(
    closed(
        a={"anyOf": [closed(n={"type": "integer", "minimum": 0}), {"type": ["string", "null"]}]},
        items={"type": "array", "maxItems": 2, "items": {"type": "number"}},
    )
)


@given(st.text(max_size=60) | ANYTHING.map(json.dumps))
def test_any_text_fits_or_is_told_in_a_line(text: str) -> None:
    why = misfit(text, ONE_OF_ALL)
    assert why is None or (why and "\n" not in why)


OWN = ANYTHING | st.fixed_dictionaries({"n": SCALARS})


@given(st.fixed_dictionaries({"a": OWN, "items": ANYTHING | st.lists(SCALARS, max_size=3)}))
def test_what_fits_is_what_the_schema_says(found: dict[str, Any]) -> None:
    own, items = found["a"], found["items"]
    fits = own is None or isinstance(own, str) or (own.keys() == {"n"} if isinstance(own, dict) else False)
    if fits and isinstance(own, dict):
        fits = is_number(own["n"]) and own["n"] == int(own["n"]) and own["n"] >= 0
    fits = fits and isinstance(items, list) and len(items) <= 2 and all(map(is_number, items))
    assert (misfit(json.dumps(found), ONE_OF_ALL) is None) == fits


def is_number(found: Any) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool)


@given(st.text(max_size=60) | ANYTHING.map(json.dumps) | st.dictionaries(NAMES, ANYTHING).map(json.dumps))
def test_any_schema_is_usable_or_refused_in_a_line(schema: str) -> None:
    try:
        found = read_schema(schema)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert found["additionalProperties"] is False
        assert misfit("[]", schema) is not None


def test_asking_again_shows_the_answer_and_what_is_wrong_with_it() -> None:
    first = Prompt(messages=(Message(role="user", parts=(Text(text="Judge."),)),))
    again = asked_again(first, "right!", "it is no JSON", VERDICT)
    assert again.messages[:1] == first.messages
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    texts = ["".join(part.text for part in one.parts if isinstance(part, Text)) for one in again.messages]
    assert texts[1] == "right!"
    assert "it is no JSON" in texts[2]
    assert VERDICT in texts[2]
