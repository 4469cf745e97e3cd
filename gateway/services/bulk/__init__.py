"""Bulk: files, the batches that are made of them, and those who work on them."""
