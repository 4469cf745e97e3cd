"""Which version of the gateway this is, for whoever asks it."""

VERSION = "0.1.0"
