"""The entry point: every verb has help with an example, and is imported only when it is used."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from microg_bench.__main__ import VERBS, app
from tests.helpers.datasets import bench

HEAVY = (
    *("torch", "transformers", "vllm", "sentence_transformers", "bert_score"),
    *("openai", "google.genai", "polars", "cv2"),
)


def commands() -> list[str]:
    """All verbs, and the commands of those that have several."""
    found = []
    for verb, (module, _) in VERBS.items():
        command = typer.main.get_command(import_module(f"microg_bench.cli.{module}").app)
        below = getattr(command, "commands", {})
        found += [verb] if verb in below or not below else [verb, *(f"{verb} {name}" for name in below)]
    return found


@pytest.mark.parametrize("command", commands())
def test_every_verb_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert f"microg-bench {command}" in " ".join(done.output.split("Example", 1)[1].split())


def test_every_verb_is_listed_with_its_line() -> None:
    listed = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output.split())
    for verb, (_, line) in VERBS.items():
        assert f"{verb} {line}" in listed


def test_listing_the_verbs_imports_none_of_them() -> None:
    code = "import sys; from microg_bench.__main__ import app; app(['--help'], standalone_mode=False)"
    code += "; print(*[name for name in sys.modules if name.startswith('microg_bench.cli')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, microg_bench, microg_bench.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert bench("--version", cwd=tmp_path).stdout.startswith("microg-bench 0.")


def test_a_flag_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = bench("caption", "--modle", "blind", cwd=tmp_path)
    assert done.returncode == 2
    assert "--modle" in done.stderr


def test_an_error_for_the_user_is_one_line(tmp_path: Path) -> None:
    done = bench("caption", "--model", "blnd", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: unknown model 'blnd': did you mean blind")
    assert len(done.stderr.splitlines()) == 1
