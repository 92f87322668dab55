"""Benchmarks that compare the service with peers and limits. Each is a script of its own."""
