"""What an adapter is, how one is found, started and checked, and what a baseline may see."""

from microg_bench.adapters.base import Adapter, Baseline
from microg_bench.adapters.registry import Registered, find_adapter, registered

__all__ = ["Adapter", "Baseline", "Registered", "find_adapter", "registered"]
