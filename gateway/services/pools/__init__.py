"""Where requests go: the engine nodes of each pool, and which of them is asked."""
