"""Metrics, probes and tests on arrays: nothing here opens a file or knows a model."""
