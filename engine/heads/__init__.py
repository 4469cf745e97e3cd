"""What comes after a model, once for all families: pooling, normalising, scoring."""
