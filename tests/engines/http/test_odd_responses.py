"""Whatever a server says is an answer or a classified failure, in one line, and can be written down."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from microg_bench.engines.anthropic.client import read_message
from microg_bench.engines.gemini.client import read_answer
from microg_bench.engines.http.errors import RequestError
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.secrets import Access, Secrets
from microg_bench.engines.openai_compatible.client import read_completion
from microg_bench.records import Response
from microg_bench.runs.budget import Price
from tests.helpers.fault_server import AnthropicWire, GeminiWire, OpenAIWire

pytestmark = pytest.mark.slow

KEY = "sk-0123456789abcdef"
ACCESS = Access("http://server", KEY, "KEY", Secrets(KEY))
PRICE = Price(date="2026-01-01", input=10, cached=1, output=100)
ODD: list[Any] = [
    None, True, False, 0, -1, 0.5, 10**30, float("nan"), float("inf"), "", " ", "7", "\0\ud83d\x1b[31m", KEY,
    "a\nb", [], {}, [[]], [None], {"": None}, {"text": ["a"]}, {"type": "stop"}, {"error": {"code": 500}},
    {"code": 402, "message": [KEY]}, [{"text": "a"}, 5], "x" * 9999, ["text"], {"parts": 1}, {"content": []},
]  # fmt: skip


def nodes(found: Any) -> list[tuple[Any, Any]]:
    """Every place in a piece of JSON: the list or object, and the index or name in it."""
    places = list(found.items() if isinstance(found, dict) else enumerate(found)) if isinstance(
        found, (dict, list)
    ) else []  # fmt: skip
    return [(found, key) for key, _ in places] + [one for _, value in places for one in nodes(value)]


def changed(said: Any, chance: random.Random) -> Any:
    """`said` with one to three of its parts put in place of another, or left out."""
    said = copy.deepcopy(said)
    for _ in range(chance.randint(1, 3)):
        if not (places := nodes(said)):
            break
        holder, key = chance.choice(places)
        if chance.random() < 0.15:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return said


def check(read: Callable[[Any], Response], said: Any) -> bool:
    """Whether `said` was read as an answer."""
    try:
        response = read(said)
    except RequestError as failed:
        failure = failed.failure("a")
        assert "\n" not in failure.reason
        assert KEY not in failure.model_dump_json()
        assert failure.response is None or PRICE.of(failure.response) >= 0
        return False
    assert isinstance(response.text, str)
    assert KEY not in response.model_dump_json()
    assert PRICE.of(response) >= 0
    return True


@pytest.mark.parametrize(
    ("read", "wire"),
    [(read_completion, OpenAIWire), (read_answer, GeminiWire), (read_message, AnthropicWire)],
)
def test_a_response_of_any_shape_is_an_answer_or_a_failure(read: Any, wire: Any) -> None:
    chance, said = random.Random(7), wire.answer("A man.")
    assert check(lambda one: read("a", one, ACCESS), said)
    answers = [
        check(lambda one: read("a", one, ACCESS, max_tokens=64), changed(said, chance)) for _ in range(6000)
    ]
    assert 0 < sum(answers) < 6000
    for odd in ODD:
        assert not check(lambda one: read("a", one, ACCESS), odd)


@pytest.mark.parametrize("wire", [OpenAIWire, GeminiWire, AnthropicWire])
def test_an_error_of_any_shape_is_a_failure(wire: Any) -> None:
    chance, said = random.Random(7), wire.error(429, "slow down", "insufficient_quota", "seed")
    for _ in range(3000):
        other = changed(said, chance)
        for fault in (Fault.of(400, other), Fault.of(400, json.dumps(other).encode()), Fault.inside(other)):
            if fault is None:
                continue
            failure = fault.error(ACCESS).failure("a")
            assert "\n" not in failure.reason
            assert KEY not in failure.model_dump_json()
            assert fault.rejects(["seed", "temperature"]) in (None, "seed", "temperature")
            assert fault.rejects_limit("max_tokens") in (True, False)
