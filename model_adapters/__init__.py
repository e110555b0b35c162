"""The models of the benchmark: one file a model. `microg-bench models` lists them."""
