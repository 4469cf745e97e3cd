"""The public API and its state: who asks, what they may use, how much, and which engine node answers. Never imports torch."""
