"""The hardware that a model runs on, and how much memory it takes: names of devices, never of a machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from microg_bench.records import Record
from microg_bench.text import many, one_line

_PROC = Path("/proc")
_BOARD = Path("/proc/device-tree/model")  # of computers whose processor has no name of its own
_LONGEST = 80  # characters of a `Label`
_TIMEOUT = 10.0  # seconds that nvidia-smi may take


@dataclass(frozen=True)
class Gpu:
    """A GPU that holds weights, and how much of it this program took at most, in bytes.

    `memory` is all that it has. `allocated` was held by tensors; `reserved` was kept by the allocator, with
    what no tensor held. None where it is not known.
    """

    name: str
    memory: int | None = None
    allocated: int | None = None
    reserved: int | None = None


Label = Annotated[str, Field(min_length=1, max_length=80)]  # a name or a version
Bytes = Annotated[int, Field(ge=0, le=2**60)]


class Hardware(Record):
    """What a model ran on. `gpus` are those that hold its weights, none where the CPU does.

    `gpu_memory` is that of all these GPUs, `ram` that of the machine, in bytes; `cores` are those that the
    program may use. `driver` and `cuda` are versions. None where it cannot be told.
    """

    gpus: Annotated[tuple[Label, ...], Field(max_length=1024)] = ()
    gpu_memory: Bytes | None = None
    cpu: Label
    cores: int = Field(ge=1, le=65536)
    ram: Bytes | None = None
    driver: Label | None = None
    cuda: Label | None = None

    @property
    def title(self) -> str:
        """What tables call it; rows of the same title are compared: ``2 × NVIDIA H100``."""
        if not self.gpus:
            return f"{self.cpu}, {many(self.cores, 'core')}"
        counts = Counter(sorted(self.gpus))
        return ", ".join(f"{count} × {name}" if count > 1 else name for name, count in counts.items())


def hardware(gpus: Sequence[Gpu]) -> Hardware:
    """This machine, with the GPUs that hold the weights of a model."""
    sizes = [one.memory for one in gpus if one.memory is not None]
    driver, cuda = (_driver(), _cuda()) if gpus else (None, None)
    return Hardware(
        gpus=tuple(one_line(one.name)[:_LONGEST] or "unknown GPU" for one in gpus),
        gpu_memory=sum(sizes) if gpus and len(sizes) == len(gpus) else None,
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        ram=_ram(),
        driver=driver,
        cuda=cuda,
    )


def torch_gpu(device: int | str) -> Gpu:
    """A GPU of torch, with its peaks since they were last reset in this process."""
    import torch

    facts = torch.cuda.get_device_properties(device)
    allocated, reserved = (
        torch.cuda.max_memory_allocated(device),
        torch.cuda.max_memory_reserved(device),
    )
    return Gpu(facts.name, facts.total_memory, allocated, reserved)


def reset_peaks() -> None:
    """Count peaks of memory of this process from now on, where the system can."""
    with suppress(OSError):
        (_PROC / "self" / "clear_refs").write_text("5")
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():  # else there is nothing to reset
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)


def peak_memory() -> int | None:
    """The most memory that this process and each of its children held, added up, in bytes.

    It is resident memory; what processes share is counted in each. Children that have ended are not counted.
    None where the system does not tell, as other systems than Linux.
    """
    own = os.getpid()
    peaks = [_peak(process) for process in (own, *_children(own))]
    return sum(filter(None, peaks)) if peaks[0] else None


def _children(process: int) -> Iterator[int]:
    """The processes below `process`, at any depth."""
    parents: dict[int, list[int]] = {}
    for file in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name of a program stands in brackets and may hold anything.
            parent = int(file.read_text(errors="replace").rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(file.parent.name))
    left = [process]
    while left:
        found = parents.get(left.pop(), [])
        yield from found
        left += found


def _peak(process: int) -> int | None:
    found = _line(_PROC / str(process) / "status", "VmHWM")
    return int(found.split()[0]) * 1024 if found else None


def _line(file: Path, name: str) -> str:
    """What stands behind `name` in the first such line of a file of the system; empty for none."""
    with suppress(OSError):
        for line in file.read_text(errors="replace").splitlines():
            key, colon, value = line.partition(":")
            if colon and key.strip() == name:
                return value.strip()
    return ""


def _cpu() -> str:
    """The model of the processor; else of the computer on a single board, else the kind of processor."""
    name = _line(_PROC / "cpuinfo", "model name")
    with suppress(OSError):
        name = name or _BOARD.read_text(errors="replace").strip("\0 \n")
    return one_line(name or platform.machine())[:_LONGEST] or "unknown CPU"


def _ram() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _driver() -> str | None:
    """The version of NVIDIA's driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return one_line(done.stdout.partition("\n")[0])[:_LONGEST] or None


def _cuda() -> str | None:
    """The version of CUDA that torch was built for."""
    import torch

    return torch.version.cuda
