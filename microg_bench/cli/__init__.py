"""The command line: a module for each verb that parses, calls and prints."""

from microg_bench.__main__ import main
from microg_bench.cli import run

__all__ = ["main", "run"]
