"""Helpers for testing jobs written on the engine; the fixtures stand in ``testing.plugin``."""
