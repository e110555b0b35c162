"""The package reads from top to bottom: no import runs upwards, and one question passes few files."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "microg_bench"
# Each imports only from those before it. docs/architecture.md explains them in this order.
ORDER = (
    *(
        "errors",
        "text",
        "privacy",
        "storage",
        "folders",
        "records",
        "options",
        "video",
        "settings",
        "slices",
        "abstention",
        "actions",
        "scorecard",
    ),
    *(
        "progress",
        "memory",
        "hardware",
        "children",
        "torchvision_repair",
        "_children",
        "tasks",
        "structured",
        "dataset",
        "prompts",
        "metrics",
        "persons",
    ),
    *(
        "adapters",
        "engines",
        "runs",
        "scoring",
        "har",
        "curation",
        "annotation",
        "submissions",
        "tables",
        "plots",
        "pages",
        "export",
    ),
    *(
        "api",
        "sweeps",
        "costs",
        "drifts",
        "judges",
        "annotators",
        "merges",
        "variants",
        "probes",
        "repeats",
        "paraphrases",
        "model_checks",
    ),
    *("__main__", "cli"),
)
LEVEL = {package: level for level, package in enumerate(ORDER)}
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_FILES, MOST_CHANGES = 32, 100  # on the way of one question; version 0.1.0: 53 and 223
MOST_LINES = 500

TRACE = """
import os, sys, threading
import microg_bench, microg_bench.cli
root = os.path.dirname(microg_bench.__file__) + os.sep
files, changes, last = set(), 0, ""
def trace(frame, event, argument):
    global changes, last
    name = frame.f_code.co_filename
    if event == "call" and name.startswith(root):
        files.add(name)
        package = name[len(root):].split(os.sep)[0]
        changes += package != last
        last = package
sys.argv = ["microg-bench", "vqa", "--model", "constant", "--data", "sample", "--limit", "1"]
sys.argv += ["--metrics", "ROUGE-L", "--run", os.environ["RUN"]]
sys.setprofile(trace)
threading.setprofile(trace)
try:
    microg_bench.cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
sys.setprofile(None)
print("counts", len(files), changes)
"""


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """The packages of microg_bench that a module imports, wherever the import is written."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            assert not name.startswith("model_adapters"), "the package does not know the adapters"
            parts = name.split(".")
            if parts[0] == "microg_bench" and parts[1:] not in ([], ["__version__"]):
                yield parts[1]


def test_every_package_has_its_level() -> None:
    assert {package_of(path) for path in MODULES} == {"__init__", *ORDER}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_runs_upwards(path: Path) -> None:
    own = package_of(path)
    for other in set(imports(path)) - {own}:
        # The public names of the package itself are imported when they are used.
        assert own == "__init__" or LEVEL[other] < LEVEL[own], f"{own} imports {other}"


def test_no_public_class_name_occurs_twice() -> None:
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_no_file_is_long() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in MODULES}
    assert [name for name, count in lines.items() if count > MOST_LINES] == []


def test_one_question_passes_few_files(tmp_path: Path) -> None:
    environment = {**os.environ, "RUN": str(tmp_path / "run"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", TRACE]
    subprocess.run(command, env=environment, capture_output=True, check=True)  # fills the cache of baselines
    environment["RUN"] = str(tmp_path / "again")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = re.search(r"^counts (\d+) (\d+)$", done.stdout, re.MULTILINE)
    assert found is not None
    files, changes = map(int, found.groups())
    assert 10 < files <= MOST_FILES
    assert 20 < changes <= MOST_CHANGES
