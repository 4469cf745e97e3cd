"""The console of the operators: server-rendered pages over the services of the gateway."""
