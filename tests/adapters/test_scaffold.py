"""`models new` writes an adapter that works as it is, and its test."""

import subprocess
import sys
from pathlib import Path

import pytest

from microg_bench.adapters import find_adapter
from microg_bench.adapters.scaffold import write_adapter
from microg_bench.errors import UsageError


def test_what_is_written_is_a_sound_adapter_whose_test_passes(tmp_path: Path) -> None:
    adapter, test = write_adapter("my-model2.5", tmp_path)
    assert (adapter.name, test.name) == ("my_model2_5.py", "test_my_model2_5.py")
    found = find_adapter(str(adapter))
    assert (found.name, type(found).__name__) == ("my-model2.5", "MyModel25")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize("name", ["My Model", "../x", "", "a/b", "3d", "class", "a--b"])
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        write_adapter(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("mine")
    with pytest.raises(UsageError, match="is there already; nothing was written"):
        write_adapter("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]
