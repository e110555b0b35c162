"""The servers that the documents show: each answers as its page says."""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any
from zlib import crc32

from microg_bench.dataset.load import load
from tests.helpers.fault_server import OpenAIWire

REFUSED = ("What is the blond person wearing?", "Which of the two men in the middle wears blue jeans?")


class Snapshots(OpenAIWire):
    """A vendor that answers with references, after `first` answers with another snapshot of its model.

    The other snapshot answers some questions with "Nobody.".
    """

    def __init__(self, first: int = 84) -> None:
        self.first, self.given = first, count()

    def answer(self, text: str, ended: str = "") -> dict[str, Any]:  # type: ignore[override]
        changed = next(self.given) >= self.first
        question = next((one for one in references() if one in text), "")
        said = "Nobody." if changed and crc32(question.encode()) % 4 == 0 else references()[question]
        served = "gpt-4o-2024-11-20" if changed else "gpt-4o-2024-08-06"
        return super().answer(said, ended) | {"model": served}


def flaky(question: str, attempt: int) -> str:
    """A server that is busy, fails or breaks the connection at the first attempt at some questions."""
    return ("429", "500", "reset", "", "")[crc32(question.encode()) % 5] if attempt == 1 else ""


def refusing(question: str, attempt: int) -> str:
    """A server that refuses two questions for good."""
    return "400" if any(one in question for one in REFUSED) else ""


@cache
def references() -> dict[str, str]:
    """An answer to each question of the sample set, and to what is no question of it."""
    asked = {one.text: one.answer for clip in load("sample").clips for one in clip.questions}
    return {**asked, "": "People walk on a path."}
