"""Helpers for testing jobs written on the engine."""
