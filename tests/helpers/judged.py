"""Runs to be judged, and a judge by rules that answers as a language model would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import microg_bench as mb
from microg_bench.annotation.judge import Judge, JudgedRun, judge_all
from microg_bench.api import in_loop
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.runs.record import RunRecord
from microg_bench.tasks import UNANSWERABLE
from tests.helpers.datasets import write_annotations
from tests.helpers.fault_server import FaultServer

CLIPS = ("a_001", "a_002", "b_001", "c_001")
_FIELDS = {
    "Question: ": "question",
    "Reference: ": "reference",
    "Answer to rate: ": "answer",
    "Caption to check: ": "caption",
    "Caption: ": "caption",
}


def records() -> list[dict[str, Any]]:
    """Four clips of three sources, whose captions have three sentences, with three questions each."""
    return [
        {
            "video_id": name,
            "caption": f"A man holds tool {n}. He wears a shirt. The hatch is open.",
            "qa_pairs": [
                {"Q": "What does he hold?", "A": f"Tool {n}."},
                {"Q": "What does he wear?", "A": "A shirt."},
                {"Q": "Who else is there?", "A": "Not mentioned."},
            ],
        }
        for n, name in enumerate(CLIPS)
    ]


def judged_runs(root: Path) -> tuple[Path, Path]:
    """The folders of two runs of baselines, each of both tasks, scored by ROUGE-L."""
    data = str(write_annotations(root / "refs.json", records()))
    for model in ("blind", "constant"):
        mb.evaluate(model, data, run=root / model, metrics="ROUGE-L", progress=None)
    return root / "blind", root / "constant"


def asked_of(prompt: str) -> dict[str, str]:
    """The fields of a rubric in a prompt, as a judge reads them."""
    found = {}
    for line in prompt.splitlines():
        for start, name in _FIELDS.items():
            if line.startswith(start):
                found[name] = json.loads(line.removeprefix(start))
    return found


def by_rules(prompt: str) -> str:
    """What a judge by rules answers to a prompt of any rubric: equal texts are right, shared words partly."""
    given = asked_of(prompt)
    if "answer" in given:
        return json.dumps({"reason": "by rules", "rating": rating(given["answer"], given["reference"])})
    if "reference" in given:
        return json.dumps(facts(given["caption"], given["reference"]))
    return json.dumps({"answer": answered(given["question"], given["caption"])})


def words(text: str) -> set[str]:
    return set(text.lower().replace(".", " ").split())


def rating(answer: str, reference: str) -> str:
    if words(answer) == words(reference):
        return "right"
    return "partly" if words(answer) & words(reference) else "wrong"


def facts(caption: str, reference: str) -> dict[str, Any]:
    own, theirs = ([one.strip() for one in text.split(".") if one.strip()] for text in (caption, reference))

    def verdict(fact: str) -> str:
        if fact in theirs:
            return "supported"
        return "contradicted" if any(words(fact) & words(one) for one in theirs) else "absent"

    return {
        "caption_facts": [{"fact": one, "verdict": verdict(one)} for one in own],
        "reference_facts": [{"fact": one, "found": "yes" if one in own else "no"} for one in theirs],
    }


def answered(question: str, caption: str) -> str:
    """The words of the sentence of a caption behind the verb that the question asks for."""
    verb = {"hold": "holds", "wear": "wears"}.get(question.rstrip("?").split()[-1], "?")
    for sentence in caption.split("."):
        _, found, after = sentence.partition(f" {verb} ")
        if found:
            return f"{after[0].upper()}{after[1:]}."
    return f"{UNANSWERABLE.capitalize()}."


def judge_of(server: FaultServer, run: Path, rubric: str, **options: Any) -> Judge:
    given = {"model": "server:m", "url": server.url, **options}
    return Judge.of(RunRecord.read(run), Options.of(given), rubric)


def judged(
    server: FaultServer, run: Path, rubric: str, says: Callable[[str], str] = by_rules, **options: Any
) -> JudgedRun:
    """What the model of a server says of a run."""
    server.says = says
    return in_loop(judge_all([judge_of(server, run, rubric, **options)], Progress()))[0]
