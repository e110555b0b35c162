"""The plugin in docs/plugin-example is installed and used as its README says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "plugin-example"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the plugin."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, folder / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--target", str(folder / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def run(installed: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)]), "COLUMNS": "200"}
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=installed.parent, env=env, capture_output=True, text=True, check=False)


def test_it_is_listed_beside_the_shipped_models(installed: Path) -> None:
    done = run(installed, "microg_bench", "models")
    assert done.returncode == 0, done.stderr
    assert "my-lab-vl" in done.stdout
    assert "qwen2.5-vl" in done.stdout


def test_it_passes_the_conformance_suite(installed: Path) -> None:
    done = run(installed, "microg_bench", "models", "check", "my-lab-vl")
    assert done.returncode == 0, done.stdout
    assert "FAIL" not in done.stdout


def test_its_own_tests_pass(installed: Path) -> None:
    done = run(installed, "pytest", "-q", "-p", "no:cacheprovider", installed.parent / "source" / "tests")
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.usefixtures("_transformers")
def test_it_can_be_asked(installed: Path) -> None:
    command = ("caption", "--model", "my-lab-vl", "--engine", "transformers", "--data", "sample")
    done = run(installed, "microg_bench", *command, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "<frame 5>" in done.stdout
    assert "checkpoint  my-lab/MyLab-VL-7B" in done.stdout
