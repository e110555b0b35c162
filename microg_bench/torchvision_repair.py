"""Makes torchvision importable beside a torch that it was not built for.

The torchvision wheel of the package index is built for CUDA. Beside a CPU build of torch its compiled
operators cannot be loaded, and then its import fails on registering shapes for `torchvision::nms`, an
operator that nobody declared. The video processors of transformers need torchvision's transforms, which
are plain torch; none of the compiled operators. Declaring the missing ones is enough.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_UNDECLARED = re.compile(r"operator torchvision::(\w+) does not exist")

# The operators whose shapes torchvision registers without asking whether they were loaded.
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

# torch forgets the declarations of a library that is garbage-collected.
_declared: list[Any] = []


def ensure_torchvision() -> None:
    """Import torchvision, declaring its missing operators first where that is what its import fails on.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: its import fails for another reason.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if not _UNDECLARED.search(str(error)):
            raise
        _forget_half_imported()
        declare_operators()
        importlib.import_module("torchvision")


@contextmanager
def repaired_children() -> Iterator[None]:
    """Python processes that start within are repaired as this one was, before they import anything."""
    before = os.environ.get("PYTHONPATH")
    if _declared:
        package = Path(__file__).parent
        folders = [str(package / "_children"), str(package.parent), *([before] if before else [])]
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    try:
        yield
    finally:
        if before is not None:
            os.environ["PYTHONPATH"] = before
        elif _declared:
            del os.environ["PYTHONPATH"]


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


def declare_operators() -> None:
    """Declare the operators that torchvision takes for granted; torch must be importable."""
    torch: Any = importlib.import_module("torch")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
