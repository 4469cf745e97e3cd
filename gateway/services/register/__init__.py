"""What operators and the command line change: tenants, keys, grants, quotas, models."""
