"""The built wheel, in an environment of its own, is the same harness as the checkout."""

import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import numpy
import pytest

from microg_bench.errors import install_command

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[1]
DEPENDENCIES = Path(numpy.__file__).parents[
    1
]  # on PYTHONPATH no .pth file counts: the checkout is out of reach


def run(*command: str | Path, cwd: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(DEPENDENCIES), "COLUMNS": "200"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    venv.create(folder / "venv", with_pip=False)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
        wheel,
        cwd=folder,
    )
    return folder / "venv" / "bin"


def test_it_is_the_installed_package_that_is_tested(bin_folder: Path, tmp_path: Path) -> None:
    place = run(
        bin_folder / "python", "-c", "import microg_bench; print(microg_bench.__file__)", cwd=tmp_path
    )
    assert Path(place.strip()).is_relative_to(bin_folder.parent)


def test_it_has_the_same_models_and_prompts(bin_folder: Path, tmp_path: Path) -> None:
    here = run(sys.executable, "-m", "microg_bench", "models", cwd=tmp_path)
    assert run(bin_folder / "microg-bench", "models", cwd=tmp_path) == here
    code = "from microg_bench.storage import shipped as s; print(*[f.name for f in s('prompts').iterdir()])"
    prompts = run(bin_folder / "python", "-c", code, cwd=tmp_path).split()
    assert sorted(prompts) == sorted(path.name for path in (ROOT / "prompts").iterdir())
    assert prompts


@pytest.mark.parametrize(
    "extra", ["score", "transformers", "openai", "gemini", "anthropic", "plots", "excel", "mlflow"]
)
def test_the_command_that_errors_print_needs_no_index_that_has_the_package(
    bin_folder: Path, tmp_path: Path, extra: str
) -> None:
    pip, *command = shlex.split(install_command(extra))
    python = ("--python", bin_folder / "python")
    done = run(sys.executable, "-m", pip, *python, *command, "--dry-run", "--no-index", cwd=tmp_path)
    assert f"Requirement already satisfied: microg-bench[{extra}]" in done


def test_it_runs_the_sample_set_to_the_same_bytes(bin_folder: Path, tmp_path: Path) -> None:
    command = (
        "run",
        "--model",
        "nearest-clip",
        "--data",
        "sample",
        "--metrics",
        "CIDEr,BLEU-4,ROUGE-L",
        "--run",
    )
    run(bin_folder / "microg-bench", *command, "wheel", cwd=tmp_path)
    run(sys.executable, "-m", "microg_bench", *command, "checkout", cwd=tmp_path)
    for task in ("caption", "vqa"):
        for name in ("scorecard.json", "predictions.json", "table.md"):
            assert (tmp_path / "wheel" / task / name).read_bytes() == (
                tmp_path / "checkout" / task / name
            ).read_bytes()
    run(bin_folder / "microg-bench", "report", "checkout", "--out", "wheel-page", cwd=tmp_path)
    run(sys.executable, "-m", "microg_bench", "report", "checkout", "--out", "page", cwd=tmp_path)
    here, there = (contents(tmp_path / name) for name in ("page", "wheel-page"))
    assert here == there
    assert len(here) > 50


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
