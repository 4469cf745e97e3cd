"""Several workers as one server: a parent that listens and keeps them alive, and what parent and workers say."""
