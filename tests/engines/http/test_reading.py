from typing import Any

import pytest

from microg_bench.engines.http.errors import RequestError
from microg_bench.engines.http.reading import LONGEST, OddError, checked, parsed, text_in
from microg_bench.engines.http.secrets import Access, Secrets
from microg_bench.records import Response

ACCESS = Access("server", "sk-0123456789", "KEY", Secrets("sk-0123456789"))
SAID = Response(id="a", text="A man.")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not JSON: it is empty"),
        (b"data: {}\n\ndata: [DONE]", "is not JSON: data: {}"),
        (b"<html><title>Login</title>", "is not JSON: Login"),
        (b'{"a": "caf\xe9"}', "is not UTF-8"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_json_is_described(content: bytes, told: str) -> None:
    with pytest.raises(OddError, match=told):
        parsed(content)


def test_an_integer_of_any_length_is_read() -> None:
    assert parsed(b"[1, -7]") == [1, -7]
    assert parsed(b"9" * 5000) == float("inf")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, ""),
        ("a", "a"),
        (["a", {"type": "text", "text": "b"}], "ab"),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "c"}]}, "c"),
        ({"type": "reasoning", "summary": [{"text": "d"}]}, "d"),
        (5, None),
        ({"answer": "a"}, None),
        ([[[[["a"]]]]], None),
    ],
)
def test_text_is_found_in_blocks_and_nowhere_else(found: Any, text: str | None) -> None:
    if text is None:
        with pytest.raises(OddError, match="where text should"):
            text_in(found)
    else:
        assert text_in(found) == text


@pytest.mark.parametrize(
    ("told", "output", "reasoning"),
    [
        ({"output_tokens": 7}, 7, None),
        ({"output_tokens": 7.0}, 7, None),
        ({"output_tokens": "7"}, 7, None),
        ({"output_tokens": (7, None)}, 7, None),
        ({"output_tokens": (7, 3), "reasoning_tokens": 3}, 10, 3),
        ({"output_tokens": 7, "reasoning_tokens": 3, "total_tokens": 107}, 7, 3),
        ({"output_tokens": 7, "reasoning_tokens": 3, "total_tokens": 110}, 10, 3),
        ({"output_tokens": 7, "reasoning_tokens": 90}, 97, 90),
    ],
)
def test_counts_are_read_as_servers_write_them(
    told: dict[str, Any], output: int, reasoning: int | None
) -> None:
    found = checked(SAID, ACCESS, prompt_tokens=100, **told)
    assert (found.prompt_tokens, found.output_tokens, found.reasoning_tokens) == (100, output, reasoning)


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens": -1},
        {"prompt_tokens": 99.5},
        {"prompt_tokens": float("nan")},
        {"prompt_tokens": float("inf")},
        {"prompt_tokens": 10**12},
        {"prompt_tokens": True},
        {"prompt_tokens": [1]},
        {"prompt_tokens": {"a": 1}},
        {"prompt_tokens": "many"},
        {"prompt_tokens": "9" * 5000},
        {"prompt_tokens": 10, "cached_tokens": 11},
    ],
)
def test_a_count_that_cannot_be_is_a_failure_whose_cost_is_not_known(told: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="server: an impossible count of tokens") as caught:
        checked(SAID, ACCESS, **told)
    assert caught.value.kind == "refused"
    assert caught.value.response == SAID


def test_cached_tokens_of_an_unknown_prompt_are_not_counted() -> None:
    assert checked(SAID, ACCESS, cached_tokens=5) == SAID


def test_a_text_that_its_limit_does_not_allow_is_a_failure_and_is_not_kept() -> None:
    long = SAID.model_copy(update={"text": "a" * 2561})
    with pytest.raises(RequestError, match="longer than 2,560 characters, more than 10 tokens") as caught:
        checked(long, ACCESS, 10, prompt_tokens=100)
    assert caught.value.response is not None
    assert (caught.value.response.text, caught.value.response.prompt_tokens) == ("", 100)
    assert checked(long, ACCESS).text == long.text
    with pytest.raises(RequestError, match="longer than 1,000,000 characters"):
        checked(SAID.model_copy(update={"text": "a" * (LONGEST + 1)}), ACCESS)


def test_thoughts_are_bounded() -> None:
    thought = SAID.model_copy(update={"reasoning": "a" * (LONGEST + 9)})
    assert checked(thought, ACCESS).reasoning == "a" * LONGEST


def test_a_key_in_what_is_odd_is_hidden() -> None:
    with pytest.raises(RequestError, match=r"prompt tokens: \"\[key\]\"$"):
        checked(SAID, ACCESS, prompt_tokens="sk-0123456789")
