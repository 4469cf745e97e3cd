"""One file per model family: config, modules, the packed forward and the checkpoint key map."""
