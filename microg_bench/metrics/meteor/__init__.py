"""METEOR 1.5 for English without Java: every count as the published jar gives it."""
