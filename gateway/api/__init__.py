"""Handlers and schemas of the public wires; each handler reads as the story of its request."""
