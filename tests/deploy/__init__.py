"""The service as it was deployed, on an embedded AWS of its own."""
