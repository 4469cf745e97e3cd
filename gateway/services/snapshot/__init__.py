"""All policies in memory, as requests read them."""
