"""A small fleet of real processes under real clients, while its members end: killed at random, or restarted in turn."""
