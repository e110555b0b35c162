"""Decides what to ask, asks it, and records every answer."""
