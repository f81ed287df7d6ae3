"""Benchmarks: programs with a recorded result."""
