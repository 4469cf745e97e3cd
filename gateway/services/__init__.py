"""What handlers, console and command line call: every rule about tenants, keys, quotas, usage and nodes, once."""
