"""Text made fit for where it is shown."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.text import lettered, many, strict_json, visible

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
)
CONTENT = st.recursive(
    PLAIN | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=20
)


def test_letters_go_on_after_z() -> None:
    found = lettered(map(str, range(53)))
    assert [found[str(place)] for place in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "ab", "ba"]


def test_what_is_alike_has_one_letter() -> None:
    assert lettered(["one", "two", "one", "three"]) == {"one": "a", "two": "b", "three": "c"}


@pytest.mark.parametrize(
    ("count", "what", "said"),
    [
        (0, "box", "0 boxes"),
        (1, "row of the ground truth", "1 row of the ground truth"),
        (1234, "item without a prediction", "1,234 items without a prediction"),
    ],
)
def test_numbers_of_things_are_told_in_words(count: int, what: str, said: str) -> None:
    assert many(count, what) == said


def test_control_characters_are_shown_as_escapes() -> None:
    assert visible("a\x1b[2J\u202e\n\ud800é漢") == r"a\x1b[2J\u202e\n\ud800é漢"


@settings(derandomize=True, max_examples=200, deadline=None)
@given(CONTENT)
def test_json_is_read_as_the_library_reads_it(content: Any) -> None:
    written = json.dumps(content).encode()
    assert strict_json(written) == json.loads(written)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.binary() | st.text(alphabet='{}[]":,0123456789eE.-+ntfINa').map(str.encode))
def test_other_bytes_are_read_alike_or_refused(content: bytes) -> None:
    try:
        found = strict_json(content)
    except ValueError:
        return
    assert found == json.loads(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1, "a": 1}', "the key 'a' occurs twice"),
        (b'[{"b": {"a": 1, "c": 2, "a": 3}}]', "the key 'a' occurs twice"),
        (b"[NaN]", "NaN is no finite number"),
        (b"[-Infinity]", "-Infinity is no finite number"),
        (b"[1e400]", "1e400 is no finite number"),
        (b"1" * 21, "a whole number has 21 digits"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ('"x"'.encode("utf-16"), "utf-8"),
        (b"[" * 34 + b"]" * 34, "nested too deeply"),
        (b"[" * 10_000_000, "nested too deeply"),
        (b'{"a":' * 34 + b"1" + b"}" * 34, "nested too deeply"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
    ],
)
def test_json_that_readers_understand_differently_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        strict_json(content)


def test_json_may_be_as_deep_as_the_program_writes_it() -> None:
    assert strict_json(b"[" * 33 + b"]" * 33)
