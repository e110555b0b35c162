"""Models of our lab, as microg-bench adapters."""
