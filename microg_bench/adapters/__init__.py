"""The adapters room: what an adapter is, how one is found, and the references that a floor may see."""

from microg_bench.adapters.base import Adapter, Floor
from microg_bench.adapters.registry import Registered, find_adapter, registered

__all__ = ["Adapter", "Floor", "Registered", "find_adapter", "registered"]
