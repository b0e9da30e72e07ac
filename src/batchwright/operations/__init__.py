"""One function per act a person can do: validation, write, audit entry.

The files here are what all acts stand on; then, each on those before it: `access`, `runs`, `schedules` and `billing`,
`worker`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchwright.operations.runs.batches import execute_batch
    from batchwright.operations.schedules.schedules import schedule

__all__ = ["execute_batch", "schedule"]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: every module of this package imports the package first.
    if name == "execute_batch":
        from batchwright.operations.runs.batches import execute_batch

        return execute_batch
    if name == "schedule":
        from batchwright.operations.schedules.schedules import schedule

        return schedule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
