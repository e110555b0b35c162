"""Each case runs in an interpreter of its own: an import can be watched only once."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")


def run(code: str, *search: Path) -> subprocess.CompletedProcess[str]:
    start = f"import sys; sys.path[:0] = {[str(folder) for folder in (*search, ROOT)]}\n"
    command = [sys.executable, "-c", start + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def pretend_torchvision(folder: Path, code: str) -> Path:
    package = folder / "torchvision"
    package.mkdir()
    (package / "part.py").write_text("loaded = 1\n")
    (package / "__init__.py").write_text(code)
    return folder


ENSURE = "from microg_bench import torchvision_repair\ntorchvision_repair.ensure_torchvision()\n"


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_transforms_work_whatever_torch_is_beside_it() -> None:
    done = run(
        ENSURE
        + "import torch\nfrom torchvision.transforms.v2 import functional\n"
        + "print(functional.resize(torch.ones(3, 8, 8), [4, 2]).shape)"
    )
    assert done.stdout.strip() == "torch.Size([3, 4, 2])", done.stderr


@needs_torch
def test_a_missing_operator_is_declared_and_the_import_starts_afresh(tmp_path: Path) -> None:
    code = (
        "import torch\nfrom torchvision import part\npart.loaded += 1\n"
        "torch.library.register_fake('torchvision::nms')(lambda dets, scores, iou_threshold: None)\n"
    )
    done = run(
        ENSURE + "import torchvision; print(torchvision.part.loaded)", pretend_torchvision(tmp_path, code)
    )
    assert done.stdout.strip() == "2", done.stderr


def test_a_sound_torchvision_is_left_alone(tmp_path: Path) -> None:
    done = run(
        ENSURE + "print(torchvision_repair._declared, 'torch' in sys.modules)",
        pretend_torchvision(tmp_path, ""),
    )
    assert done.stdout.strip() == "[] False", done.stderr


def test_another_fault_is_not_hidden(tmp_path: Path) -> None:
    done = run(ENSURE, pretend_torchvision(tmp_path, "raise RuntimeError('compiled for another age')"))
    assert done.returncode != 0
    assert "RuntimeError: compiled for another age" in done.stderr
