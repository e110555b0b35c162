"""Rules for captions and pairs, and the verdicts of a scripted model."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from microg_bench.annotation.consistency import Judged, judged, queries, text_findings, verdict_fault
from microg_bench.annotation.inquiry import Inquiry
from microg_bench.api import in_loop
from microg_bench.dataset.annotations import Annotation, parse_annotations, read_annotations
from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import DataError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.prompts import find_rubric
from tests.helpers.datasets import write_annotations
from tests.helpers.fault_server import FaultServer

pytestmark = pytest.mark.slow

SIX = [{"Q": f"What is thing {k}?", "A": f"Number {k} of many."} for k in range(6)]


def annotations(*pairs: tuple[str, str]) -> list[Annotation]:
    own = [{"Q": question, "A": answer} for question, answer in pairs]
    pairs_of_six = (own + SIX)[:6]
    return parse_annotations([{"video_id": "a_001", "caption": "A hat.", "qa_pairs": pairs_of_six}], Path())


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("The astronaut floats.", "Yes.", "not-a-question"),
        ("Who wears the red suit?", "The red suit.", "answer-in-question"),
        ("What is a wrench?", "A wrench", "answer-in-question"),
        ("", "Yes.", "blank-question"),
        ("Who is it?", "nan", "blank-answer"),
        ("Who is it?", "['Ann']", "listed-answer"),
    ],
)
def test_a_pair_with_a_fault_is_found(question: str, answer: str, kind: str) -> None:
    (found,) = text_findings(annotations((question, answer)))
    assert (found.item, found.kind) == ("a_001#1", kind)
    assert found.reason


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is it a hat or a cap?", "A hat."),
        ("Is there no hat?", "No."),
        ("What is not mentioned here?", "Not mentioned."),
        ("Who asks “Where am I?”", "A man."),
        ("How many hats are there?", "..."),
    ],
)
def test_a_pair_without_a_fault_is_not_found(question: str, answer: str) -> None:
    assert text_findings(annotations((question, answer))) == ()


def test_a_question_asked_twice_is_found_though_case_and_punctuation_differ() -> None:
    (found,) = text_findings(annotations(("Who is it?", "Ann."), ("who is it ?", "Ben.")))
    assert (found.item, found.kind) == ("a_001", "repeated-question")


def test_the_known_faults_of_the_real_file_are_found(shared: Path) -> None:
    path = shared / "data" / "microg4m" / "vqa_and_captioning.json"
    found = text_findings(read_annotations(path))
    kinds = {"repeated-id": 1, "blank-caption": 1, "repeated-caption": 14, "pair-count": 77}
    assert Counter(one.kind for one in found) == {**kinds, "published-count": 2}
    assert {one.kind: one.item for one in found}["blank-caption"] == "QvTmdIhYnes_1001"
    asked = queries(load(path))
    assert len(asked) == 1236 and "QvTmdIhYnes_1001" not in {one.name for one in asked}


def two_clips(folder: Path) -> Dataset:
    records: list[dict[str, Any]] = [
        {"video_id": "a_001", "caption": "Ann wears a hat.", "qa_pairs": SIX[:2]},
        {"video_id": "a_002", "caption": "Ben wears a cap.", "qa_pairs": SIX[:2]},
        {"video_id": "a_003", "caption": "nan", "qa_pairs": SIX[:2]},
    ]
    return load(write_annotations(folder / "set.json", records))


def test_the_findings_of_a_model_name_clips_and_pairs(server: FaultServer, tmp_path: Path) -> None:
    dataset = two_clips(tmp_path)
    wrong = {"pair": 2, "reason": "Ann has no cap.", "kind": "not supported"}
    whole = {"pair": 0, "reason": "A hat is no cap.", "kind": "contradiction"}
    server.says = lambda asked: json.dumps({"findings": [wrong, whole] if "Ann" in asked else []})
    inquiry = Inquiry(
        find_rubric("annotate", "check"), Options.of({"model": "server:m", "url": server.url}), dataset
    )
    replies = in_loop(inquiry.ask(queries(dataset), tmp_path / "run", Progress()))
    found = judged(dataset, replies)
    assert [(one.item, one.kind) for one in found.findings] == [
        ("a_001#2", "not-supported"),
        ("a_001", "contradiction"),
    ]
    assert not found.unread and len(server.bodies) == 2


def test_a_verdict_on_a_pair_that_there_is_not_is_not_read(server: FaultServer, tmp_path: Path) -> None:
    dataset = two_clips(tmp_path)
    wrong = {"findings": [{"pair": 3, "reason": "?", "kind": "contradiction"}]}
    server.says = lambda asked: json.dumps(wrong) if "Ann" in asked else "no JSON"
    inquiry = Inquiry(
        find_rubric("annotate", "check"), Options.of({"model": "server:m", "url": server.url}), dataset
    )

    def ask() -> Judged:
        asked = inquiry.ask(queries(dataset), tmp_path / "run", Progress(), fault=verdict_fault(dataset))
        return judged(dataset, in_loop(asked))

    found = ask()
    assert not found.findings and sorted(found.unread) == ["a_001", "a_002"]
    server.says = lambda asked: json.dumps({"findings": []})
    assert not ask().unread, "the next start asks for both again"


def test_a_dataset_without_captions_is_refused(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "set.json", [{"video_id": "a_001", "qa_pairs": SIX}])
    with pytest.raises(DataError, match="no clip has a caption"):
        queries(load(path))
