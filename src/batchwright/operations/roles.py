"""The roles of users, and what each may do."""

from __future__ import annotations

from enum import StrEnum

from batchwright.engine.job import BatchJob


class Right(StrEnum):
    """What an act needs; the value is the lowest role that has it. One for each row of the table of roles."""

    LOOK = "viewer"
    """Look at anything but users and audit."""
    OPERATE = "operator"
    """Run, retry, abort, pause, resume, move; draft, rate, unrate; edit, reset; amend; schedules."""
    BILLING = "Billing Utilities Admin"
    """Data recalculation and its preview; set-status; import; prices."""
    ADMINISTER = "administrator"
    """Users, audit, hold, prune, hold-all, backup."""


ROLES = tuple(right.value for right in Right)
"""The roles, each with all the rights of those before it."""


def has_right(role: str, right: Right) -> bool:
    """Whether the role has the right."""
    return ROLES.index(role) >= ROLES.index(right)


def right_for_job(job: type[BatchJob]) -> Right:
    """What running a job needs, dry or not: the role that its class requires, and an operator's at least.

    An unknown role counts as an administrator's.
    """
    role = job.required_role or Right.OPERATE
    required = Right(role) if role in ROLES else Right.ADMINISTER
    return max(required, Right.OPERATE, key=list(Right).index)
