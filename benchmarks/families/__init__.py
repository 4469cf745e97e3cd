"""Every family on small random checkpoints: equal to its reference, equal alone and in company."""
