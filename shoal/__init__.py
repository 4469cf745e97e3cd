"""What a user imports and types: the `shoal` command, the only place where all the parts are put together."""

__version__ = "0.1.0"
