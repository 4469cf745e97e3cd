"""Pools of servers that somebody else runs: OpenAI-compatible ones, and text-embeddings-inference."""
