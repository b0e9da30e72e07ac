"""One function per act a person can do: validation, write, audit entry."""

from typing import TYPE_CHECKING, Any

from batchwright.operations.batches import execute_batch

if TYPE_CHECKING:
    from batchwright.operations.schedules import schedule

__all__ = ["execute_batch", "schedule"]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: every command imports this package, and few have to do with schedules.
    if name == "schedule":
        from batchwright.operations.schedules import schedule

        return schedule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
