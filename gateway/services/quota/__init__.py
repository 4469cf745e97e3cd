"""What callers may use: reserved before, settled after, in this process or in Redis."""
