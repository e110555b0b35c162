"""Makes torchvision importable beside a torch that it was not built for.

The torchvision wheel of the package index is built for CUDA. Beside a CPU build of torch its compiled
operators cannot be loaded, and its import fails where it registers shapes for `torchvision::nms`, an operator
that nobody declared. The video processors of transformers need only torchvision's transforms, which are plain
torch: it is enough to declare the missing operators.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from microg_bench.children import PACKAGE, python_path

# The operators whose shapes torchvision registers without asking whether they were loaded.
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

# torch forgets the declarations of a library that is garbage-collected.
_declared: list[Any] = []


def ensure_torchvision() -> None:
    """Import torchvision, and declare its operators where its compiled ones cannot be loaded.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: its import fails for another reason.
    """
    import_module("microg_bench._children.sitecustomize")
    import_module("torchvision")


def declare_missing_operators() -> None:
    """Declare the operators, unless torchvision has loaded its own."""
    torch: Any = import_module("torch")
    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)


@contextmanager
def repaired_children() -> Iterator[None]:
    """Python processes that start within are repaired as this one was, before they import anything."""
    before = os.environ.get("PYTHONPATH")
    if _declared:
        os.environ["PYTHONPATH"] = python_path(PACKAGE / "_children")
    try:
        yield
    finally:
        if before is not None:
            os.environ["PYTHONPATH"] = before
        elif _declared:
            del os.environ["PYTHONPATH"]
