"""What the shipped adapters declare, checked against the paper and against what is installed."""

import csv
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from microg_bench.adapters.base import Adapter, Baseline
from microg_bench.adapters.conformance import check_adapter
from microg_bench.adapters.registry import find_adapter
from microg_bench.engines.registry import ENGINES, unsupported

ROOT = Path(__file__).resolve().parents[2]
FILES = {find_adapter(str(path)).name: path for path in sorted((ROOT / "model_adapters").glob("[a-z]*.py"))}
ADAPTERS = {name: find_adapter(str(path)) for name, path in FILES.items()}
MODELS = {name: adapter for name, adapter in ADAPTERS.items() if not isinstance(adapter, Baseline)}
CLOSED = {"openai", "gemini", "anthropic"}
UNPINNED = {"llava-onevision-2"}  # no commit of it could be found
TRANSFORMERS_SINCE = {"molmo2": "5.20"}  # later than the lowest version that the project takes
PAPER = {  # as its tables name them
    "Video-ChatGPT": "video-chatgpt",
    "mPLUG-Owl3": "mplug-owl3",
    "LLaVA-NeXT": "llava-next-video",
    "Video-LLaVA": "video-llava",
    "Qwen2.5-VL": "qwen2.5-vl",
    "InternVideo": "internvideo2.5",
    "GPT-4o": "gpt-4o",
    "Gemini 1.5 Pro": "gemini-1.5-pro",
}


def open_weights(adapter: Adapter) -> bool:
    return not CLOSED & set(adapter.engines)


@pytest.mark.parametrize("name", MODELS)
def test_it_passes_the_conformance_suite(name: str) -> None:
    checks = check_adapter(find_adapter(str(FILES[name])))
    assert [check.problem for check in checks if check.problem] == []


@pytest.mark.parametrize("name", MODELS)
def test_it_says_what_a_user_must_know(name: str) -> None:
    adapter = MODELS[name]
    assert adapter.licence
    assert adapter.memory
    if not open_weights(adapter):
        assert adapter.revision is None
    else:
        assert bool(re.fullmatch(r"[0-9a-f]{40}", adapter.revision or "")) == (name not in UNPINNED)
        assert name not in UNPINNED or "not pinned" in adapter.note


@pytest.mark.parametrize("name", [name for name, adapter in MODELS.items() if open_weights(adapter)])
def test_its_engines_can_load_it(name: str) -> None:
    adapter = MODELS[name]
    assert bool(adapter.architecture) != bool(adapter.loader)
    for engine in adapter.engines:
        lacks = Version(version("transformers")) < Version(TRANSFORMERS_SINCE.get(name, "0"))
        assert bool(unsupported(engine, adapter.architecture)) == (engine == "transformers" and lacks)
    if "vllm" in adapter.engines:
        assert "server" in adapter.engines
    if adapter.loader:
        assert adapter.engines == ("transformers",)
        assert (ROOT / f"{adapter.loader.partition(':')[0].replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("table", ["captioning", "vqa"])
def test_every_model_of_the_paper_gets_the_papers_frames(table: str) -> None:
    with (ROOT / "results" / "published" / f"{table}.csv").open() as rows:
        published = {row["model"]: int(row["frames"]) for row in csv.DictReader(rows)}
    assert set(published) <= set(PAPER)
    assert {name: MODELS[PAPER[name]].frames for name in published} == published


def test_all_engines_named_exist() -> None:
    assert {engine for adapter in MODELS.values() for engine in adapter.engines} <= set(ENGINES)
