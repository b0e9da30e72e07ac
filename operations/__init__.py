"""One function per act a person can do: validation, permission, audit entry. Nothing else writes."""

from operations.batches import execute_batch

__all__ = ["execute_batch"]
