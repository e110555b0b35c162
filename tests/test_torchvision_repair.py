"""Each case runs in an interpreter of its own: an import can be watched only once."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[1]
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")


def run(code: str, *search: Path) -> subprocess.CompletedProcess[str]:
    start = f"import sys; sys.path[:0] = {[str(folder) for folder in (*search, ROOT)]}\n"
    command = [sys.executable, "-c", start + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def pretend_torchvision(folder: Path, code: str) -> Path:
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    (package / "_meta_registrations.py").write_text(
        "import torch\n"
        "torch.library.register_fake('torchvision::nms')(lambda dets, scores, iou_threshold: None)\n"
    )
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
def test_a_missing_operator_is_declared_where_its_shape_is_registered(tmp_path: Path) -> None:
    folder = pretend_torchvision(tmp_path, "import torch\nfrom torchvision import _meta_registrations\n")
    done = run(
        ENSURE + "import torch; print(len(torchvision_repair._declared), torch.ops.torchvision.nms)", folder
    )
    assert done.stdout.strip() == "1 torchvision.nms", done.stderr


@needs_torch
def test_an_operator_that_torchvision_declares_itself_is_left_alone(tmp_path: Path) -> None:
    folder = pretend_torchvision(
        tmp_path,
        "import torch\nours = torch.library.Library('torchvision', 'DEF')\n"
        "ours.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "from torchvision import _meta_registrations\n",
    )
    done = run(ENSURE + "print(torchvision_repair._declared)", folder)
    assert done.stdout.strip() == "[]", done.stderr


@needs_torch
def test_a_child_process_is_repaired_before_it_imports_anything(tmp_path: Path) -> None:
    folder = pretend_torchvision(tmp_path, "import torch\nfrom torchvision import _meta_registrations\n")
    child = "import torch, torchvision; print(torch.ops.torchvision.nms)"
    code = (
        f"import os, subprocess\nos.environ['PYTHONPATH'] = {str(folder)!r}\n"
        "with torchvision_repair.repaired_children():\n"
        f"    subprocess.run([sys.executable, '-c', {child!r}], check=True)\n"
        f"assert os.environ['PYTHONPATH'] == {str(folder)!r}\n"
    )
    done = run(ENSURE + code, folder)
    assert done.stdout.strip() == "torchvision.nms", done.stderr


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
