"""Who may do what: every operation begins with `permit`, before it looks at its parameters."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Connection

from engine.errors import Refused
from operations.actor import Actor
from operations.app import Application


class Right(StrEnum):
    """What an act needs; the value is the lowest role that has it. One for each row of the table of roles."""

    LOOK = "viewer"
    """Look at anything but users and audit."""
    OPERATE = "operator"
    """Run, retry, abort, pause, resume, move; draft, rate, unrate; edit, reset; amend; schedules."""
    BILLING = "Billing Utilities Admin"
    """Data recalculation and its preview; set-status; import; prices."""
    ADMINISTER = "administrator"
    """Users, audit, hold, prune, hold-all."""


class Forbidden(Refused):
    """Who acts lacks the right to (HTTP: 403)."""


def permit(
    app: Application, actor: Actor | None, right: Right, act: str, connection: Connection | None = None
) -> None:
    """Refuse with `Forbidden` unless the actor has the right; the attempt is then in the audit trail.

    Call it before anything else, and outside a transaction of yours: the entry of a refusal has its own.

    Args:
        actor: `None` stands for who the settings name, as for `default_actor`.
        act: what they are about to do, as in the audit trail: "usage_input.edit", "run.list".
        connection: where the caller of an operation handed in a transaction of theirs, that one.
    """


def right_to_run(job_name: str) -> Right:
    """What running a job needs, dry or not: data recalculation more than the others."""
    return Right.BILLING if job_name == "data-recalculation" else Right.OPERATE
