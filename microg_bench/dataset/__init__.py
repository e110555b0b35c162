"""The dataset room: MicroG-4M, the sample set and other folders of the same layout."""

from microg_bench.dataset.check import Fault, Report, check
from microg_bench.dataset.load import Dataset, load, select

__all__ = ["Dataset", "Fault", "Report", "check", "load", "select"]
