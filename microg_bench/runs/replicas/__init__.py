"""Replicas: several copies of a model, each a process of its own with its decoders, that share one run."""
