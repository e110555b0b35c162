"""The floors of the house: a room imports only from the floors below it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (
    ("errors", "records", "files", "resources", "suggest", "torchvision_repair", "_children"),
    ("dataset", "video", "prompts", "tasks", "metrics", "har"),
    ("adapters",),
    ("engines",),
    ("runs",),
    ("leaderboard", "report", "figures"),
    ("export", "site"),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    """The rooms of the house that a module imports, `model_adapters` included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        found |= {module for module in modules if module.split(".")[0] in ("microg_bench", "model_adapters")}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "microg_bench").parts[0].removesuffix(".py")


MODULES = [path for path in sorted((ROOT / "microg_bench").rglob("*.py")) if room_of(path) != "__init__"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_the_floors_below(path: Path) -> None:
    room = room_of(path)
    for module in imports(path):
        parts = module.split(".")
        assert parts[0] != "model_adapters", f"the harness must not import {module}"
        if len(parts) > 1 and (other := parts[1]) in LEVEL and other != room:
            below = LEVEL[other] < LEVEL[room]
            beside = LEVEL[other] == LEVEL[room] <= 1  # the two lowest floors lean on their own kind
            assert below or beside, f"{room} imports {module}, which is not below it"


def test_no_file_is_long() -> None:
    long = [path.name for path in [*MODULES, *(ROOT / "model_adapters").glob("*.py")] if _lines(path) > 400]
    assert long == []


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())
