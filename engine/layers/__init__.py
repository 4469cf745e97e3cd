"""Pieces that model families share, each over packed sequences."""
