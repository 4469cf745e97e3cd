"""Pure rules: plain facts and `now` in, a value out. No clock, no randomness, no I/O; the standard library only."""
