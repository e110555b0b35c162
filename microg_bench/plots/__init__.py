"""Plots: what a dataset holds and how runs scored; the same content gives the same bytes."""
