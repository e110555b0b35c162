"""`models new` writes an adapter that works once it is filled in, and its test."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from microg_bench.adapters.conformance import check_adapter
from microg_bench.adapters.registry import find_adapter
from microg_bench.adapters.scaffold import write_adapter
from microg_bench.errors import UsageError
from microg_bench.records import Request
from tests.helpers.datasets import ROOT
from tests.helpers.scaffold import fill_in

CHECKOUT = (
    *("microg_bench", "model_adapters", "prompts", "results", "tests", "scripts", "benchmarks", "docs"),
    *(".github", "pyproject.toml", "README.md", "LICENSE"),
)
OF_ALL_MODELS = (
    *("tests/adapters/test_registry.py", "tests/adapters/test_conformance.py", "tests/cli/test_models.py"),
    *("tests/model_adapters/test_my_model.py", "tests/model_adapters/test_declarations.py"),
    *("tests/engines/test_vendors.py", "tests/tables/test_rows.py", "tests/test_dependencies.py"),
)


def test_what_is_written_is_a_sound_adapter_whose_test_passes(tmp_path: Path) -> None:
    adapter, test = write_adapter("my-model2.5", tmp_path)
    fill_in(adapter)
    assert (adapter.name, test.name) == ("my_model2_5.py", "test_my_model2_5.py")
    found = find_adapter(str(adapter))
    assert (found.name, type(found).__name__) == ("my-model2.5", "MyModel25")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.heavy
def test_a_model_that_is_registered_fails_no_test(tmp_path: Path) -> None:
    """A checkout as CONTRIBUTING.md has it changed, with the tests that go over all models."""
    (tree := tmp_path / "tree").mkdir()
    for name in CHECKOUT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    adapter, test = write_adapter("my-model", tree / "model_adapters")
    fill_in(adapter)
    shutil.move(test, tree / "tests" / "model_adapters")
    project = tree / "pyproject.toml"
    entries = '[project.entry-points."microg_bench.adapters"]\n'
    line = 'my-model = "model_adapters.my_model:MyModel"\n'
    project.write_text(project.read_text().replace(entries, entries + line))
    pip = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", "site")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tree, tree / "site")))}
    for command in ((*pip, "."), ("pytest", "-vv", "-p", "no:cacheprovider", *OF_ALL_MODELS)):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tree, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "tests/model_adapters/test_my_model.py::test_it_is_a_sound_adapter PASSED" in done.stdout
    assert "[my-model] PASSED" in done.stdout


def ruff(*arguments: object) -> None:
    settings = ("--config", ROOT / "pyproject.toml", "--no-cache")
    command = [sys.executable, "-m", "ruff", *map(str, (*arguments, *settings))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_suggests_in_comments_works(tmp_path: Path) -> None:
    adapter, _ = write_adapter("mine", tmp_path)
    fill_in(adapter)
    code = re.compile(
        r"^( *)# (from |    \w+,$|\)|generation|thinking|def |    (shown|return|\"\"\"))", re.MULTILINE
    )
    text, count = code.subn(r"\1\2", adapter.read_text())
    assert count == 21
    adapter.write_text(text)
    ruff("check", "--ignore", "RUF012", adapter)  # as pyproject.toml has it for model_adapters
    found = find_adapter(str(adapter))
    assert [check for check in check_adapter(found) if check.problem] == []
    request = Request(id="a", task="caption", video_id="a", source="a")
    assert found.parse(request, "Hm. ANSWER: A man.") == "A man."
    assert found.thinking is not None
    assert found.thinking.switches["vllm"]["off"] == {"enable_thinking": False}


def test_one_suggestion_alone_is_as_the_project_wants(tmp_path: Path) -> None:
    adapter, _ = write_adapter("mine", tmp_path)
    wanted = r"(from microg_bench.records.*|    Thinking,|    template_switches,|\)|thinking = .*)"
    text = re.sub(rf"^( *)# {wanted}$", r"\1\2", adapter.read_text(), flags=re.MULTILINE)
    adapter.write_text(re.sub(r"^#     \w+,\n|^# from .*\n", "", text, flags=re.MULTILINE))
    ruff("check", adapter)
    ruff("format", "--check", adapter)


def test_what_has_not_been_filled_in_is_refused_by_name(tmp_path: Path) -> None:
    adapter, test = write_adapter("mine", tmp_path)
    first = check_adapter(find_adapter(str(adapter)))[0]
    assert first.problem == (
        "write what FILL IN asks for: the docstring of the file, the docstring of the class, checkpoint, "
        "revision, architecture, licence, memory"
    )
    fill_in(adapter)
    adapter.write_text(adapter.read_text().replace('note = ""', 'note = "FILL IN: later"'))
    assert check_adapter(find_adapter(str(adapter)))[0].problem == "write what FILL IN asks for: note"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "FILL IN asks for: note" in done.stdout) == (1, True), done.stdout


@pytest.mark.parametrize("name", ["a", "a-model-of-a-name-that-is-long.2"])
def test_it_is_formatted_and_documented_as_the_project_wants(name: str, tmp_path: Path) -> None:
    adapter, test = write_adapter(name, tmp_path)
    ruff("format", "--check", adapter, test)
    ruff("check", adapter)


@pytest.mark.parametrize("name", ["My Model", "../x", "", "a/b", "3d", "class", "a--b"])
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        write_adapter(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("mine")
    with pytest.raises(UsageError, match="test_mine.py: exists already; nothing was written"):
        write_adapter("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]
