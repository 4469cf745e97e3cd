"""From a model's source to the model in memory: found, planned, read, checked."""
