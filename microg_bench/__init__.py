"""microg-bench: score video-language models on three-second clips of life in microgravity.

Importing this package loads nothing heavy: no torch, no vllm, no Java, no network client.
"""

__version__ = "0.1.0"
