"""Boxes about persons and their actions: files, matching, conversion to AVA and back, splits, key frames."""
