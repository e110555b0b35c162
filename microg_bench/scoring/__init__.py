"""Scores answers: scorecards, slices, baselines, intervals and comparisons."""
