"""The public API and its state: who asks, what they may use, how much, which node answers. Never imports torch."""
