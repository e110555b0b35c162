"""Declares torchvision's missing operators just before its import would fail on them.

Python imports this at its start where this folder is on PYTHONPATH; `ensure_torchvision` imports it by name.
"""

import sys


class _Repair:
    """An import hook that finds nothing: it waits for the module that registers the operators' shapes."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torchvision._meta_registrations":
            sys.meta_path.remove(self)
            from microg_bench.torchvision_repair import declare_missing_operators

            declare_missing_operators()


sys.meta_path.insert(0, _Repair())
