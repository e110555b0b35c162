"""`python -m microg_bench` is `microg-bench`."""

from microg_bench.cli import main

main()
