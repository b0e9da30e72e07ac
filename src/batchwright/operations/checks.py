"""What several acts check before they begin; each check refuses with the field, the value and the remedy."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection

from batchwright.engine.errors import NotFound, Refused, storable
from batchwright.engine.job import BatchJob

NAMED_AT_MOST = 20
LONGEST_LIST = 2**31 - 1


class Unknown(NotFound):
    """Ids that nobody has. Names the first 20 and says how many there are."""

    def __init__(self, noun: str, ids: Sequence[str], *, field: str) -> None:
        self.ids = tuple(ids)
        plural = "" if len(ids) == 1 else "s"
        super().__init__(
            f"unknown {noun}{plural}: {shortened(ids)}",
            field=field,
            remedy=f"Look the id{plural} up with `batchwright {noun.replace(' ', '-')}s list`",
        )


def shortened(ids: Sequence[str]) -> str:
    """The ids, after the first 20 only their number: "A, B", "A, B, … and 5 more (25 in all)"."""
    named = ", ".join(ids[:NAMED_AT_MOST])
    rest = len(ids) - NAMED_AT_MOST
    return f"{named} … and {rest} more ({len(ids)} in all)" if rest > 0 else named


def check_known(noun: str, ids: Iterable[str], known: Collection[str], *, field: str) -> None:
    """Refuse unless every id is `known`; all that are not are counted, the first 20 named."""
    unknown = [an_id for an_id in ids if an_id not in known]
    if unknown:
        raise Unknown(noun, unknown, field=field)


def check_limit(limit: int | None) -> None:
    """Refuse a length of a list below 1, or beyond what a database counts to."""
    if limit is not None and limit < 1:
        raise Refused(
            f"the limit {limit} is below 1", field="limit", remedy="Give a whole number from 1, or none"
        )
    if limit is not None and limit > LONGEST_LIST:
        raise Refused(
            f"the limit {limit} is above {LONGEST_LIST}",
            field="limit",
            remedy="Leave it out for all there are",
        )


def check_one_of(value: str, choices: Collection[str], *, field: str) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise Refused(
            f"{field} {value!r} is not known", field=field, remedy=f"Use one of {', '.join(choices)}"
        )


def check_storable(value: str, *, field: str) -> None:
    """Refuse a text that no database takes: nothing has it."""
    if storable(value) != value:
        raise Refused(
            f"{value!r} cannot be stored in a database",
            field=field,
            remedy="Leave out what is not a character",
        )


def distinct_ids(ids: Iterable[str], *, field: str) -> list[str]:
    """The ids in their order, each once; refuses when there is none."""
    distinct = list(dict.fromkeys(ids))
    if not distinct:
        raise Refused("no id was given", field=field, remedy="Name at least one")
    return distinct


def check_connection(connection: object) -> None:
    """Refuse what is given for a connection and is none; a session or an engine is none either."""
    if connection is not None and not isinstance(connection, Connection):
        raise Refused(
            f"{reprlib.repr(connection)} is not a SQLAlchemy connection",
            field="connection",
            remedy="Give a sqlalchemy.Connection, such as engine.begin() or session.connection() gives",
        )


def check_job(job: object) -> None:
    """Refuse what is not a job, such as its class."""
    if not isinstance(job, BatchJob):
        raise Refused(
            f"{job!r} is not a job", field="job", remedy="Give an object of a class of jobs, such as Award()"
        )
