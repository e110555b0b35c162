"""`microg-bench doctor`: what is usable here, and the command that fixes what is not."""

import sys
import venv
from pathlib import Path

import pytest

from microg_bench.cli.doctor import findings
from tests.helpers.datasets import bench


def test_doctor_names_what_is_missing_and_how_to_fix_it(tmp_path: Path) -> None:
    done = bench("doctor", cwd=tmp_path, env={"MICROG_BENCH_DATA": str(tmp_path / "none")})
    assert done.returncode == 0, done.stderr
    found = [" ".join(line.split()) for line in done.stdout.splitlines()]
    missing = found.index("MicroG-4M not fetched")
    assert found[missing + 1] == "to fix: microg-bench data fetch"
    assert any(line.startswith("engine function usable") for line in found)
    assert any(line.startswith("Java (protocol coco) openjdk") for line in found)


def test_doctor_breaks_no_name_and_no_command_in_a_narrow_window(tmp_path: Path) -> None:
    lines = bench("doctor", cwd=tmp_path, env={"COLUMNS": "80"}).stdout.splitlines()
    for one in findings():
        assert any(line.split() == f"{one.what} {one.state}".split() for line in lines), one.what
        assert not one.fix or any(line.strip() == f"to fix: {one.fix}" for line in lines), one.what


def test_doctor_tells_that_pip_would_install_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "here", with_pip=False)
    pip = tmp_path / "here/bin/pip"
    pip.write_text("#!/bin/sh\n")
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "here"))
    told = [one for one in findings() if one.what == "pip"]
    assert [one.fix for one in told] == [f"source {tmp_path / 'here/bin/activate'}"]
    monkeypatch.setenv("PATH", str(pip.parent), prepend=":")
    assert not [one for one in findings() if one.what == "pip"]
