"""Damaged files of every kind: a reader reads them or says what is wrong; no other exception leaves it.

`make fuzz` runs these tests with more examples.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.errors import MicrogError
from tests.fuzz.readers import READERS, Reader

pytestmark = pytest.mark.heavy

USUAL = 60
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", USUAL))
fuzzed = settings(max_examples=EXAMPLES, derandomize=EXAMPLES == USUAL, deadline=None, database=None)

# What parsers of one kind or another stumble over.
ODD = (
    *(
        b"\0",
        b'"',
        b"'",
        b",",
        b";",
        b"\t",
        b"\n",
        b"\r",
        b"\n\n\n",
        b"#",
        b"{",
        b"}",
        b"\\",
        b"\\ud800",
        b"[" * 2000,
    ),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\xc3", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"PK\x03\x04", b"PAR1"),
    *(b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0x1", b"9" * 400, b"9" * 5000, b"0.1", b"true", b"null"),
    *(
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\x80\0\0\0",
        b"{{ x }}",
        b"{% for %}",
        b"../",
        b"__proto__",
    ),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 2**63, 10**30, 10**400, 1e300, float("nan"), float("inf"), 0.5])
    | st.text(max_size=5)
    | st.sampled_from(["", "\0", "\ud800", "a\u202eb", "__proto__", "../a", "a/b", "a#1", "x" * 300, "nan"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with parts of it replaced, left out, repeated or cut off."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 0, 1, 1, 2, 4, 8, 64, len(content)])))
        part = draw(st.binary(max_size=4) | st.sampled_from(ODD) | st.just(content[start:end] * 2))
        content = content[:start] + part + content[end:]
    return content


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Each list and object below JSON content, with each of its keys."""
    pairs = list(content.items() if isinstance(content, dict) else enumerate(content))
    for key, value in pairs:
        yield content, key
        if isinstance(value, dict | list):
            yield from places(value)


@st.composite
def changed(draw: st.DrawFn, lines: bytes, whole: bool) -> bytes:
    """JSON, or lines of it, with other values, without some, and with some more."""
    content = [json.loads(line) for line in ([lines] if whole else lines.splitlines())]
    for _ in range(draw(st.integers(1, 3))):
        found = [place for one in content if isinstance(one, dict | list) for place in places(one)]
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        match draw(st.integers(0, 3)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw(st.text(max_size=4))] = draw(VALUES)
            case _:
                holder[key] = draw(VALUES)
    return b"\n".join(json.dumps(one).encode() for one in content) + b"\n"


def read(reader: Reader, content: bytes) -> None:
    """Read a file; of what may go wrong, only what the product says of it is passed over."""
    with reader.file(content) as file, suppress(MicrogError):
        reader.read(file)


def in_json(content: bytes) -> bool:
    """Whether a file is JSON or lines of JSON."""
    return content[:1] in (b"[", b"{") and content.rstrip()[-1:] in (b"]", b"}")


@pytest.mark.parametrize("name", READERS)
@fuzzed
@given(data=st.data())
def test_damaged_bytes_are_read_or_one_fault(name: str, data: st.DataObject) -> None:
    reader = READERS[name]
    read(reader, data.draw(damaged(reader.content)))


@pytest.mark.parametrize("name", [name for name, one in READERS.items() if in_json(one.content)])
@fuzzed
@given(data=st.data())
def test_changed_json_is_read_or_one_fault(name: str, data: st.DataObject) -> None:
    reader = READERS[name]
    whole = not reader.name.endswith("jsonl") and name not in ("batches", "predictions: lmms-eval")
    read(reader, data.draw(changed(reader.content, whole)))


@pytest.mark.parametrize("name", READERS)
def test_the_undamaged_file_is_read(name: str) -> None:
    reader = READERS[name]
    with reader.file(reader.content) as file:
        reader.read(file)
