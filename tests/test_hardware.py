"""What is told of this machine, and the memory that processes took."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from microg_bench import hardware as module
from microg_bench.hardware import Gpu, Hardware, hardware, peak_memory, reset_peaks

MIB = 1024**2
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")


def test_this_machine_is_named_by_its_processor() -> None:
    one = hardware([])
    assert one.gpus == () and one.driver is None and one.cuda is None and one.gpu_memory is None
    assert one.cores == len(os.sched_getaffinity(0))
    assert one.ram is not None and one.ram > 100 * MIB
    assert one.title.startswith(f"{one.cpu}, {one.cores} core")
    assert os.uname().nodename not in one.model_dump_json()


@pytest.mark.parametrize(
    ("gpus", "cores", "title"),
    [
        ((), 1, "C, 1 core"),
        ((), 4, "C, 4 cores"),
        (("A",), 4, "A"),
        (("B", "A", "A"), 4, "2 × A, B"),
    ],
)
def test_rows_of_the_same_title_have_the_same_devices(gpus: tuple[str, ...], cores: int, title: str) -> None:
    assert Hardware(gpus=gpus, cpu="C", cores=cores).title == title


def test_the_memory_of_gpus_is_known_where_that_of_each_is() -> None:
    assert hardware([Gpu("A", 2), Gpu("A", 3)]).gpu_memory == 5
    assert hardware([Gpu("A", 2), Gpu("A")]).gpu_memory is None
    assert hardware([Gpu("a\x1b[31mb\n" + "c" * 500)]).gpus[0].isprintable()
    assert hardware([Gpu(" ")]).gpus == ("unknown GPU",)


def test_the_driver_is_what_nvidia_smi_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware([Gpu("A")]).driver is None
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 570.86.10\necho 570.86.10\n")
    program.chmod(0o755)
    assert hardware([Gpu("A")]).driver == "570.86.10"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert hardware([Gpu("A")]).driver is None


def test_a_board_without_a_name_of_its_processor_is_named_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    (tmp_path / "model").write_bytes(b"Some Board 8GB\0")
    monkeypatch.setattr(module, "_PROC", tmp_path)
    monkeypatch.setattr(module, "_BOARD", tmp_path / "model")
    assert hardware([]).cpu == "Some Board 8GB"
    monkeypatch.setattr(module, "_BOARD", tmp_path / "none")
    assert re.fullmatch(r"\w+", hardware([]).cpu)
    assert peak_memory() is None


@linux
def test_the_peak_counts_children_and_what_was_given_back() -> None:
    """In a process of its own, whose size nothing else moves."""
    script = f"""
import subprocess, sys, json
from microg_bench.hardware import peak_memory, reset_peaks
MIB = {MIB}
reset_peaks()
found = [peak_memory()]
large = bytearray(200 * MIB); del large
found.append(peak_memory())
child = "import sys; large = bytearray(150 * {MIB}); print(flush=True); sys.stdin.read()"
command = [sys.executable, "-c", child]
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
    process.stdout.readline()
    found.append(peak_memory())
    process.stdin.close()
reset_peaks()
found.append(peak_memory())
print(json.dumps([one / MIB for one in found]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, held, both, after = json.loads(done.stdout)
    assert 195 < held - before < 230
    assert 150 < both - held < 200
    assert after < held - 150


def test_peaks_are_reset_where_the_system_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROC", tmp_path)
    reset_peaks()
    assert list(tmp_path.iterdir()) == []
