"""A language model by rules: it makes, rates and answers questions about captions of one form.

A caption is sentences such as "Ann holds hat3.": each gives a question with a known answer.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

_SENTENCE = re.compile(r"(\w+) holds (\w+)")


def caption(things: Sequence[str]) -> str:
    """A caption in which somebody holds each of these things."""
    return " ".join(f"Person{number} holds {thing}." for number, thing in enumerate(things, start=1))


class ScriptedAnnotator:
    """`says` answers what any stage asks.

    Attributes:
        changed: what is answered instead, by the stage and a piece of what is asked.
        asked: how often each stage was asked.
    """

    def __init__(self) -> None:
        self.changed: dict[tuple[str, str], str] = {}
        self.asked: dict[str, int] = {}

    def says(self, asked: str) -> str:
        """The answer to a filled rubric, as JSON."""
        stage = self._stage(asked)
        self.asked[stage] = self.asked.get(stage, 0) + 1
        for (own, piece), said in self.changed.items():
            if own == stage and piece in asked:
                return said
        return json.dumps(getattr(self, f"_{stage}")(asked))

    def _stage(self, asked: str) -> str:
        marks = {
            "that the caption answers": "candidates",
            "that the caption does not answer": "unanswerable",
            "Rate from 1": "ratings",
            "Answer in a few words": "answers",
            "Compare the meaning": "comparisons",
        }
        return next(stage for mark, stage in marks.items() if mark in asked)

    def _candidates(self, asked: str) -> dict[str, Any]:
        found = [
            {
                "span": f"{who} holds {what}",
                "question": f"What does {who} hold?",
                "answer": f"{what}.",
                "form": "what",
                "scope": "broad" if number % 2 else "detailed",
            }
            for number, (who, what) in enumerate(_SENTENCE.findall(asked))
        ]
        return {"candidates": found}

    def _unanswerable(self, asked: str) -> dict[str, Any]:
        who, what = _SENTENCE.findall(asked)[0]
        texts = (f"Why does {who} hold {what}?", f"Who gave {what} to {who}?", "When does it end?")
        kinds = zip(texts, ("why", "who", "when"), strict=True)
        return {"candidates": [{"question": text, "form": form, "scope": "detailed"} for text, form in kinds]}

    def _ratings(self, asked: str) -> dict[str, Any]:
        names = ("logical_consistency", "fluency", "relevance", "information_value")
        return {"reason": "It is.", **dict.fromkeys(names, 4)}

    def _answers(self, asked: str) -> dict[str, str]:
        who = re.search(r'Question: "What does (\w+) hold', asked)
        held = dict(_SENTENCE.findall(asked))
        return {"answer": held[who[1]] if who else "Not mentioned."}

    def _comparisons(self, asked: str) -> dict[str, str]:
        return {"reason": "It says something else.", "rating": "wrong"}
