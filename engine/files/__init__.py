"""A model's files, read without torch and without running anything of theirs."""
