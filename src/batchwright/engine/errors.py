"""The engine's errors. Each builds its sentence from its own data and carries what a caller decides on."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from batchwright.config.texts import without_middle
from batchwright.config.tracebacks import message_of, place_of, traceback_text

MOST_CHARACTERS = 1_000
"""So many of what an exception says are kept."""


class Refused(Exception):
    """Asked for something that cannot be done: nothing was changed.

    ``field`` names the parameter or record at fault, ``remedy`` says what to do instead. What is very long in what they
    name is shortened.
    """

    def __init__(self, message: str, *, field: str | None = None, remedy: str | None = None) -> None:
        self.message = without_middle(str(message))  # the code of a job may give a number
        super().__init__(self.message)
        self.field = field
        self.remedy = None if remedy is None else without_middle(str(remedy))

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class NotFound(Refused):
    """There is nothing of that name or id; ``field`` says what was named."""


class Gone(NotFound):
    """There was something of that id, and it was deleted."""


class Pruned(Gone):
    """What became of the records of a run is not kept any more; its row is."""

    def __init__(self, run_id: str, pruned_at: datetime, remedy: str | None = None) -> None:
        super().__init__(
            f"{run_id} was pruned on {pruned_at:%Y-%m-%d}: what became of its records is not kept any more",
            field="run_id",
            remedy=remedy or f"Its counts and totals stay: `batchwright runs show {run_id}`",
        )
        self.run_id = run_id


class Changed(Refused):
    """What is to be acted on is not any more what whoever acts was shown."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} after this was shown", remedy="Look at it as it is now, and try again")


class Conflict(Refused):
    """What is asked is in order, but what it names, or would be, does not stand so that it can be done now."""


class MoveRefused(Conflict):
    """The state of a run, or of a schedule, forbids this move."""


class KeyInUse(Conflict):
    """A run that has not ended, ``run_id``, keeps others out, by its dedup key or by what ``message`` says."""

    def __init__(self, run_id: str, message: str, *, field: str = "dedup_key") -> None:
        super().__init__(
            message,
            field=field,
            remedy=f"Wait for its end, or end it: `batchwright runs abort {run_id}`",
        )
        self.run_id = run_id


class PreviewOutdated(Conflict):
    """What a dry run foretold is not what would happen now; in its name nothing else may be done."""


class NestedWrite(Refused):
    """A write in the middle of one's own write to the same database: it would wait for itself."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"this thread is in the middle of a write to {database}, and another one would wait for its end",
            field="connection",
            remedy="Hand on its connection (`connection=`), or, in a job's `finish`, submit with `finish.submit`",
        )


class DatabaseReplaced(Refused):
    """The file of the database was deleted, or another one put in its place, while we work with it."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"the file of {database} was deleted or replaced while it is in use",
            field="database_url",
            remedy="Start again; stop all workers before a file is put in the place of another",
        )


class DatabaseMissing(Refused):
    """There is no Batchwright database where the settings point."""


class FenceLost(Exception):
    """Another process has taken the run over; whatever this one was doing must not be committed."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"{run_id} was taken over by another process")
        self.run_id = run_id


class TransactionEnded(Exception):
    """A job ended the transaction that it was lent, past what refuses that; ``where`` it did."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"the job ended the transaction of {where} by itself, with COMMIT or ROLLBACK: if it was committed, what"
            " was written by then stays, and the ledger knows nothing of it"
        )
        self.where = where


class JobExit(Exception):
    """A job raised something other than an ``Exception``, as ``sys.exit`` does: ``raised``."""

    def __init__(self, raised: BaseException) -> None:
        super().__init__(error_text(raised))
        self.raised = raised


def storable(text: str) -> str:
    """A text as every database takes it: PostgreSQL takes no NUL, and none takes half of a surrogate pair."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def text_of(error: BaseException) -> str:
    """What an exception says, storable; also of one that cannot say it."""
    try:
        return storable(message_of(error))
    except Exception:
        return "(it cannot say what)"


def error_text(error: BaseException) -> str:
    """The kind of an exception and what it says, as a message of the ledger."""
    raised = error.raised if isinstance(error, JobExit) else error
    return storable(f"{type(raised).__name__}: {text_of(raised)}"[:MOST_CHARACTERS])


class Raised(NamedTuple):
    """An exception of a job in words: ``text``; ``fault``, the same for all of its kind from its place; traceback."""

    text: str
    place: str | None
    fault: str
    traceback: str

    @property
    def message(self) -> str:
        """What is kept: the text, and file and line."""
        return self.text if self.place is None else f"{self.text} [{self.place}]"


def raised(error: BaseException) -> Raised:
    """An exception of a job in words."""
    cause = error.raised if isinstance(error, JobExit) else error
    place, kind = place_of(cause), type(cause).__name__
    fault = kind if place is None else f"{kind} [{place}]"
    return Raised(
        error_text(cause), place and storable(place), storable(fault), storable(traceback_text(cause))
    )
