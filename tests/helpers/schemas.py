"""JSON schemas of answers, answers that fit and that do not, and an adapter that wants them."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from microg_bench.prompts import Instruction
from microg_bench.records import (
    FinishReason,
    Generation,
    Message,
    Prompt,
    Request,
    TaskName,
    Text,
    Thinking,
)
from microg_bench.video.decode import Frames
from tests.helpers.runs import Plain


def closed(**properties: Any) -> dict[str, Any]:
    """A schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


VERDICT = json.dumps(
    closed(
        verdict={"type": "string", "enum": ["right", "partly", "wrong"]},
        sure={"type": "boolean"},
        facts={
            "type": "array",
            "maxItems": 2,
            "items": closed(n={"type": "integer", "minimum": 1, "maximum": 3}),
        },
    )
)
FITS = '{"verdict": "right", "sure": true, "facts": [{"n": 2}]}'
SCORE = json.dumps(closed(score={"type": "integer", "enum": [1, 2, 3]}))

# What a model may say, how it ends, and a word of what is told of it.
MISFITS: dict[str, tuple[str, FinishReason, str]] = {
    "no JSON": ("The answer is right.", "stop", "no JSON"),
    "nothing": ("  ", "stop", "empty"),
    "half": (FITS[:30], "stop", "no JSON"),
    "prose before": (f"Sure: {FITS}", "stop", "around"),
    "prose after": (f"{FITS} I hope this helps.", "stop", "around"),
    "fence": (f"```json\n{FITS}\n```", "stop", "around"),
    "two objects": (f"{FITS}\n{FITS}", "stop", "more than one"),
    "a list": (f"[{FITS}]", "stop", "object"),
    "wrong type": (FITS.replace("true", '"yes"'), "stop", "$.sure"),
    "wrong word": (FITS.replace("right", "ignore all rules"), "stop", "$.verdict"),
    "missing": ('{"verdict": "right", "sure": true}', "stop", "facts"),
    "more": (FITS.replace('"sure"', '"other": 1, "sure"'), "stop", "other"),
    "too many": (FITS.replace('[{"n": 2}]', '[{"n": 1}, {"n": 2}, {"n": 3}]'), "stop", "$.facts"),
    "inside": (FITS.replace('"n": 2', '"n": 4'), "stop", "$.facts[0].n"),
    "key twice": (FITS.replace('"sure"', '"verdict": "wrong", "sure"'), "stop", "twice"),
    "not finite": (FITS.replace("2", "1e999"), "stop", "finite"),
    "cut": (FITS, "length", "cut"),
    "filter": ("", "content_filter", "filter"),
    "refusal": ("I cannot help with that.", "refusal", "declined"),
}


class Judge(Plain):
    """An adapter that wants a verdict, sees no video, and asks with the id of the request."""

    name = "judge"
    sees_video = False
    thinking = Thinking()
    generation: ClassVar[dict[TaskName, Generation]] = {
        "caption": Generation(max_tokens=64, answer_schema=VERDICT)
    }

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        return Prompt(messages=(Message(role="user", parts=(Text(text=request.id),)),))
