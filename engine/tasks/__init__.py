"""What a node does with a model, one file for each task: a request in, its reply out."""
