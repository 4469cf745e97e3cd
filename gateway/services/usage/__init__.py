"""What callers have used: on disk before the answer leaves, in the database once."""
