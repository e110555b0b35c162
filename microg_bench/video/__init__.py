"""Decodes clips and samples the frames that a model is shown."""
