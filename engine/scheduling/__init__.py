"""What the scheduler is made of: who is next, how fast the device is, what is done where memory ends."""
