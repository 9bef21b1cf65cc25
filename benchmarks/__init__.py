"""Benchmarks that compare this SDK with other clients: ``python -m benchmarks``."""
