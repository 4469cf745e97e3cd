"""What a model folder says of its heads: one reader for each kind, free of torch."""
