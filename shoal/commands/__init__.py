"""One file per noun of the command line; each command parses, calls one service and prints."""
