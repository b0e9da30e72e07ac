"""One function per act a person can do: validation, write, audit entry."""

from operations.batches import execute_batch
from operations.schedules import schedule

__all__ = ["execute_batch", "schedule"]
