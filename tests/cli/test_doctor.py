"""`microg-bench doctor`: what is usable here, and the command that fixes what is not."""

from pathlib import Path

from tests.helpers.datasets import bench


def test_doctor_names_what_is_missing_and_how_to_fix_it(tmp_path: Path) -> None:
    done = bench("doctor", cwd=tmp_path, env={"MICROG_BENCH_DATA": str(tmp_path / "none")})
    assert done.returncode == 0, done.stderr
    found = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert "MicroG-4M not fetched microg-bench data fetch" in found
    assert any(line.startswith("engine function usable") for line in found)
    assert any(line.startswith("Java (protocol coco) openjdk") for line in found)
