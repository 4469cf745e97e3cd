"""Who may change it: people at the console, programs with operator tokens."""
