"""Which requests of a run have no answer, and whether answers differ by chance."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import Dataset, load
from microg_bench.records import Answer, Failure, Generation
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.coverage import asked_count, is_sampled, is_whole, lacking, sampling
from tests.helpers.datasets import record, write_annotations
from tests.helpers.runs import open_run, score_by_rouge

CLIPS = ("a_001", "a_002", "b_001")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load(write_annotations(tmp_path / "refs.json", [record(name, n) for n, name in enumerate(CLIPS)]))


def captioned(folder: Path, dataset: Dataset, answered: Sequence[str], failed: Sequence[str]) -> RunRecord:
    """A run of captions that is not scored."""
    with open_run(folder, fingerprint=dataset.fingerprint) as one:
        one.add(*(Answer(id=name, text="a man", answer="a man") for name in answered))
        one.add(*(Failure(id=name, stage="engine", reason="busy") for name in failed))
    return RunRecord.read(folder)


def scored(run: RunRecord, dataset: Dataset) -> RunRecord:
    score_by_rouge([run], dataset)
    return run


def test_a_run_is_whole_where_it_is_scored_with_an_answer_to_each_request(
    tmp_path: Path, dataset: Dataset
) -> None:
    whole = captioned(tmp_path / "whole", dataset, CLIPS, ())
    assert not is_whole(whole)
    assert is_whole(scored(whole, dataset))
    assert not is_whole(scored(captioned(tmp_path / "failed", dataset, CLIPS[:2], CLIPS[2:]), dataset))
    assert not is_whole(scored(captioned(tmp_path / "few", dataset, CLIPS[:2], ()), dataset))


def test_what_was_not_yet_asked_counts_once_a_run_is_scored(tmp_path: Path, dataset: Dataset) -> None:
    run = captioned(tmp_path / "run", dataset, CLIPS[:1], CLIPS[1:2])
    assert asked_count(run) == 2
    assert asked_count(scored(run, dataset)) == 3


@pytest.mark.parametrize(
    ("answered", "counts"),
    [((5,), "0"), ((3, 5), "0 to 2"), ((3, 3), "2"), ((4, 2, 3), "1 to 3"), ((2, 4), "1 to 3")],
)
def test_the_answers_that_are_lacking_are_counted(answered: tuple[int, ...], counts: str) -> None:
    found = lacking("vqa", 5, answered, "repeats")
    assert [f"no answer to {counts} of 5 requests" in line for line in found] == [True] * (counts != "0")


@pytest.mark.parametrize(
    ("settings", "rejected", "how"),
    [
        ({}, (), None),
        ({"generation": Generation(max_tokens=8, temperature=0.7)}, (), "temperature 0.7"),
        ({}, ("temperature",), "at a temperature of its own"),
        ({"generation": Generation(max_tokens=8, temperature=0.7)}, ("seed",), "temperature 0.7"),
        ({}, ("seed",), None),
        ({"engine": "function"}, ("temperature",), None),
    ],
)
def test_answers_differ_by_chance_where_the_temperature_is_not_0(
    tmp_path: Path, settings: dict[str, Any], rejected: tuple[str, ...], how: str | None
) -> None:
    with open_run(tmp_path / "run", **{"engine": "openai", **settings}) as one:
        one.add(Failure(id="a_001", stage="engine", reason="busy"))
        one.note(rejected=list(rejected))
    run = RunRecord.read(tmp_path / "run")
    assert is_sampled(run) == (how is not None)
    assert [f"({how})" in line for line in sampling(run)] == [True] * (how is not None)
