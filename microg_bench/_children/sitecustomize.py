"""Repairs torchvision in child processes that import it before anything of ours.

Python imports this at start where this folder is on PYTHONPATH; the process that starts vLLM repairs itself.
"""

import sys


class _Repair:
    """Declares the missing operators just before torchvision would fail on them."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torchvision._meta_registrations":
            sys.meta_path.remove(self)
            import torch

            from microg_bench.torchvision_repair import declare_operators

            if not hasattr(torch.ops.torchvision, "nms"):
                declare_operators()


sys.meta_path.insert(0, _Repair())
