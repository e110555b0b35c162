"""The leaderboard's site: static pages of all runs and submissions, each row with the page of its run."""

from microg_bench.site.build import build

__all__ = ["build"]
