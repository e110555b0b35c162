"""The adapters room: what an adapter is, how one is found and proved, what a floor may see."""

from microg_bench.adapters.base import Adapter, Floor
from microg_bench.adapters.conformance import Check, check_adapter
from microg_bench.adapters.registry import Registered, find_adapter, registered

__all__ = ["Adapter", "Check", "Floor", "Registered", "check_adapter", "find_adapter", "registered"]
