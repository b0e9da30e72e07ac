"""What a program of your own imports: the words a job is written in, and the two ways to have it run.

    from batchwright import BatchJob, Record, execute_batch

Each name is loaded when it is first asked for, so that a command, or a job that only subclasses `BatchJob`, does
not pay for the application behind `execute_batch` and `schedule`. Page: docs/python.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchwright.engine.errors import Refused
    from batchwright.engine.job import (
        Amount,
        BatchJob,
        Change,
        DryRunJob,
        Finish,
        Group,
        Outcome,
        Preview,
        Record,
        Scope,
        StartContext,
    )
    from batchwright.operations import execute_batch, schedule

__all__ = [
    "Amount",
    "BatchJob",
    "Change",
    "DryRunJob",
    "Finish",
    "Group",
    "Outcome",
    "Preview",
    "Record",
    "Refused",
    "Scope",
    "StartContext",
    "execute_batch",
    "schedule",
]

_ELSEWHERE = {
    "Refused": "batchwright.engine.errors",
    "execute_batch": "batchwright.operations",
    "schedule": "batchwright.operations",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_ELSEWHERE.get(name, "batchwright.engine.job")), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
