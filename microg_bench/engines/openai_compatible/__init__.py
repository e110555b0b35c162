"""Engines for servers that speak OpenAI's chat completions interface."""
