"""Check that all extras and dependency groups can be installed on every Python that pyproject.toml names.

`uv` resolves them together, from the package index, for Linux on x86-64. What can be installed together can
be installed apart, so this holds for each extra. Wheels alone count: not everyone has a compiler. Nothing is
installed.

python scripts/check_resolution.py
"""

import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLATFORM = "x86_64-manylinux_2_35"


def pythons(classifiers: list[str]) -> list[str]:
    """The minor versions of Python that the classifiers name, such as ``3.11``."""
    last = [
        one.rpartition(" :: ")[2]
        for one in classifiers
        if one.startswith("Programming Language :: Python ::")
    ]
    return [one for one in last if one.startswith("3.")]


def problem(python: str, groups: list[str]) -> str:
    """Why the extras and groups cannot be installed on a Python; "" where they can."""
    uv = [sys.executable, "-m", "uv"]
    command = [*uv, "pip", "compile", "--quiet", "--no-build", "--python-platform", PLATFORM]
    wanted = [
        "--python-version",
        python,
        "--all-extras",
        *(f"--group={name}" for name in groups),
        "pyproject.toml",
    ]
    done = subprocess.run([*command, *wanted], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def main() -> int:
    """Resolve for each Python, print what came of it; the exit status."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    versions = pythons(declared["project"]["classifiers"])
    groups = list(declared["dependency-groups"])
    with ThreadPoolExecutor() as pool:
        problems = list(pool.map(lambda python: problem(python, groups), versions))
    for python, why in zip(versions, problems, strict=True):
        print(f"Python {python}: {why or 'all extras and groups resolve'}")
    return any(problems)


if __name__ == "__main__":
    sys.exit(main())
