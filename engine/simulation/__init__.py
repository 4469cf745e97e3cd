"""Models without weights and a clock that jumps: the real residency and scheduler without a device."""
