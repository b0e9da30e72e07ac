"""One function per act a person can do: validation, write, audit entry."""

from operations.batches import execute_batch

__all__ = ["execute_batch"]
