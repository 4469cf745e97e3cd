"""Texts as models read them: with a model's own prompts, as pairs, and beside labels."""
