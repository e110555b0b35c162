"""Models for paraphrases: the answers of one follow from the words of questions, those of the other do not.

``python -m tests.helpers.listening ADAPTER DATA RUN PARAPHRASES`` asks the first, in a process that can be
killed; it takes as many seconds for an answer as the environment variable ORIENTED_SECONDS has.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar

import microg_bench as mb
from microg_bench import variants
from microg_bench.engines.base import Answered, Job
from microg_bench.records import Response, Text
from tests.helpers.oriented import Oriented, answered_by

# Of both questions of `tests.helpers.datasets`; the last one is one more than the other question has.
WORDS = (
    ("Who is to be seen?", "Whom does the clip show?"),
    ("Which thing floats?", "What is floating?", "Name what floats."),
)
MISHEARD = ("Which", "Whom")  # how questions begin that `Listening` takes for others


class Listening(Oriented):
    """Answers rightly about clip number 0, unless a question begins with one of `MISHEARD`."""

    asked: ClassVar[list[str]] = []

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer each alone."""
        async for job in jobs:
            await asyncio.sleep(float(os.environ.get("ORIENTED_SECONDS", "0")))
            type(self).asked.append(job.request.id)
            yield [(job, Response(id=job.request.id, text=self.hear(question_of(job))))]

    def hear(self, question: str) -> str:
        """What is answered to a question."""
        if question.startswith(MISHEARD):
            return "Something else."
        return f"Answer {int('float' in question)} about clip number 0."


class Deaf(Listening):
    """Answers alike, whatever the words."""

    def hear(self, question: str) -> str:
        """What is answered to a question."""
        return "Answer 0 about clip number 0."


def question_of(job: Job) -> str:
    """The question in the prompt that a model is given: its first line."""
    texts = (part.text for one in job.prompt.messages for part in one.parts if isinstance(part, Text))
    return next(iter("".join(texts).splitlines()))


def in_other_words(path: Path, ids: Sequence[str], words: Sequence[Sequence[str]] = WORDS) -> Path:
    """A file of paraphrases of the questions of these clips."""
    rows = [
        {"video_id": name, "question": k, "paraphrase": text}
        for name in ids
        for k, texts in enumerate(words, start=1)
        for text in texts
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def main(adapter: str, data: str, run: str, paraphrases: str) -> None:
    """Ask `Listening` in other words."""
    variants.configure = answered_by(Listening)  # type: ignore[attr-defined]
    mb.paraphrase(adapter, data, paraphrases=paraphrases, run=run, metrics="ROUGE-L", progress=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
