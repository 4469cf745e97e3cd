"""Traces of requests, recorded and sent to an OpenTelemetry collector; loaded only where one is named."""
