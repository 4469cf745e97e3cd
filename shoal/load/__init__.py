"""The load generator, for `shoal bench` and benchmarks/: it knows the public wire and nothing of ours behind it."""
