"""Every third-party package that is imported is declared in pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
OURS = {"microg_bench", "model_adapters", "tests", "benchmarks", "scripts", "docs"}
# The extra that a folder's imports may need besides the base.
USED_BY = {
    "microg_bench/metrics": ("score",),
    "microg_bench/engines/transformers": ("transformers",),
    "microg_bench/engines/vllm": ("vllm",),
    "microg_bench/engines/gemini": ("gemini",),
    "microg_bench/engines/openai_compatible": ("openai", "vllm"),
    "microg_bench/engines/http": ("openai",),
    "microg_bench/engines": ("transformers", "vllm"),
    "microg_bench/memory.py": ("transformers",),
    "microg_bench/torchvision_repair.py": ("transformers",),
    "microg_bench/plots": ("plots",),
    "microg_bench/export/mlflow.py": ("mlflow",),
    "microg_bench/scoring/rows.py": ("excel",),
    "microg_bench": (),
    "model_adapters": ("transformers",),
    "tests": tuple(EXTRAS),
    "benchmarks": tuple(EXTRAS),
    "scripts": tuple(EXTRAS),
}


def imported(file: Path) -> Iterator[str]:
    """The top-level names of the packages that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def declared(extras: tuple[str, ...]) -> set[str]:
    lists = [PROJECT["dependencies"], *(EXTRAS[extra] for extra in extras)]
    return {normalized(re.split(r"[^\w.-]", line)[0]) for lines in lists for line in lines}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("place", USED_BY)
def test_what_is_imported_is_declared(place: str) -> None:
    distributions = packages_distributions()
    names = declared(USED_BY[place])
    nested = [ROOT / other for other in USED_BY if other.startswith(f"{place}/")]
    for file in [ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"):
        if any(file.is_relative_to(other) for other in nested):
            continue
        for package in set(imported(file)) - OURS - sys.stdlib_module_names:
            provided = {normalized(name) for name in distributions.get(package, [package])}
            assert provided & names, f"{file.relative_to(ROOT)} imports {package}"
