"""Helpers for testing jobs written on the engine; the fixtures stand in ``batchwright.testing.plugin``."""
