"""Acts that are done once, however often they are asked for: calls with an `Idempotency-Key`.

The row of a key, the act and the answer are one transaction, so that a process that dies leaves all or nothing. A
synchronous run cannot be one: the row is committed with its submit and names it, and the answer is added when the run
has ended; where that is missing, it is made of the run itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import OperationalError

from batchwright.engine.errors import Conflict, NotFound, Refused
from batchwright.engine.faults import is_lock_timeout
from batchwright.engine.store.database import Joined
from batchwright.operations import keyed_call_store
from batchwright.operations.app import Application
from batchwright.operations.tables import LONGEST_IDEMPOTENCY_KEY

FIELD: Final = "Idempotency-Key"
KEPT_FOR: Final = timedelta(hours=48)


@dataclass(frozen=True)
class Key:
    """What a caller names a call by: theirs alone (`user_key`), and good for the same call, by its fingerprint.

    Raises `Refused` for a text that is none.
    """

    user_key: int
    text: str
    fingerprint: str

    def __post_init__(self) -> None:
        if not (
            0 < len(self.text) <= LONGEST_IDEMPOTENCY_KEY and self.text.isascii() and self.text.isprintable()
        ):
            raise Refused(
                f"the key has not 1 to {LONGEST_IDEMPOTENCY_KEY} printable ASCII characters",
                field=FIELD,
                remedy="Give each call a key that you make at random, for example a UUID",
            )


@dataclass(frozen=True)
class Answer:
    """What a call was answered. A `secret` is not kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    secret: bool = False
    replayed: bool = False


class KeyConflict(Conflict):
    """The key is at work, or the answer is not to be had a second time (HTTP: 409)."""

    def __init__(self, message: str, remedy: str, run_id: str | None = None) -> None:
        super().__init__(message, field=FIELD, remedy=remedy)
        self.run_id = run_id


class StillAtWork(KeyConflict):
    """The first call with the key is not done yet; `run_id` is the run that it waits for, where there is one."""

    def __init__(self, key: Key, run_id: str | None) -> None:
        super().__init__(
            f"the first call with this key is still at work{f' on {run_id}' if run_id else ''}",
            "Send it again later, with the same key",
            run_id,
        )
        self.key = key


AnswerOfRun = Callable[[str], Answer | None]
"""Makes the answer of a synchronous run that has ended; `None` while it has not."""


def answer_once(app: Application, key: Key, act: Callable[[], Answer], of_run: AnswerOfRun) -> Answer:
    """Do the act and keep its answer, or give the one that is kept, `replayed`.

    What `act` reads and writes in this thread is one transaction with the answer; nothing is kept of an act that
    raises, or that answers with a refusal (400 and above), which is taken back.
    Refuses a key of another call (422), and with `StillAtWork` one whose first call is not done.
    """
    return kept_answer(app, key, of_run) or _done(app, key, act, of_run)


def kept_answer(app: Application, key: Key, of_run: AnswerOfRun) -> Answer | None:
    """The answer that is kept for the key; `None` where it is new. Refuses as `answer_once`."""
    with app.database.read_autocommit() as connection:
        row = keyed_call_store.read(connection, key.user_key, key.text, app.clock.now() - KEPT_FOR)
    if row is None:
        return None
    if row["fingerprint"] != key.fingerprint:
        raise Refused(
            "another call had this key",
            field=FIELD,
            remedy="Give a key of its own to each call that is not the same",
        )
    if row["status"] is not None:
        return _answer(row)
    try:
        answer = of_run(row["run_id"])
    except NotFound:
        raise KeyConflict(
            f"{row['run_id']}, which the first call with this key began, was deleted", "Use another key"
        ) from None
    if answer is None:
        raise StillAtWork(key, row["run_id"])
    return replace(_completed(app, key, row["id"], answer, of_run), replayed=True)


def go_on_apart(run_id: str) -> None:
    """Commit what the call of this thread did so far, with the run that it submitted and now drives: scopes are
    transactions of their own, and the answer follows. Does nothing in a call without a key.
    """
    call = _call.get()
    if call is not None and call.joined.connection is not None:
        keyed_call_store.note_run(call.joined.connection, call.row_id, run_id)
        call.joined.commit()


def prune_keyed_calls(app: Application) -> None:
    """Forget the answers that have been kept for long enough."""
    before = app.clock.now() - KEPT_FOR
    with app.database.read_autocommit() as connection:
        there = keyed_call_store.any_before(connection, before)
    if there:
        with app.database.write() as connection:
            keyed_call_store.prune(connection, before)


@dataclass(frozen=True)
class _Call:
    """The call with a key that a thread is at."""

    joined: Joined
    row_id: int


_call: ContextVar[_Call | None] = ContextVar("keyed call", default=None)


class _NotKept(Exception):
    """A refusal that was answered, not raised: what was done is taken back."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def _done(app: Application, key: Key, act: Callable[[], Answer], of_run: AnswerOfRun) -> Answer:
    try:
        with app.database.joined() as joined:
            row_id = _claimed(app, joined.connection, key)
            if row_id is not None:
                answer = _acted(_Call(joined, row_id), act)
    except _NotKept as refusal:
        return refusal.answer
    if row_id is None:  # another call was faster
        return _kept(app, key, of_run)
    return answer if joined.is_whole else _completed(app, key, row_id, answer, of_run)


def _claimed(app: Application, connection: Connection | None, key: Key) -> int | None:
    assert connection is not None
    now = app.clock.now()
    values = {"user_id": key.user_key, "key": key.text, "fingerprint": key.fingerprint, "created_at": now}
    try:
        return keyed_call_store.claim(connection, values, now - KEPT_FOR)
    except OperationalError as error:
        if is_lock_timeout(error):
            raise StillAtWork(key, None) from None
        raise


def _acted(call: _Call, act: Callable[[], Answer]) -> Answer:
    token = _call.set(call)
    try:
        answer = act()
    finally:
        _call.reset(token)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise _NotKept(answer)
    if call.joined.connection is not None:
        keyed_call_store.complete(call.joined.connection, call.row_id, _columns(answer))
    return answer


def _completed(app: Application, key: Key, row_id: int, answer: Answer, of_run: AnswerOfRun) -> Answer:
    """The answer after a run, kept; or the one that somebody else made of the run meanwhile."""
    with app.database.write() as connection:
        completed = keyed_call_store.complete(connection, row_id, _columns(answer))
    return answer if completed else _kept(app, key, of_run)


def _kept(app: Application, key: Key, of_run: AnswerOfRun) -> Answer:
    answer = kept_answer(app, key, of_run)
    if answer is None:
        raise StillAtWork(key, None)
    return answer


def _columns(answer: Answer) -> dict[str, Any]:
    body = None if answer.secret else answer.body
    return {"status": answer.status, "headers": json.dumps(dict(answer.headers)), "body": body}


def _answer(row: RowMapping) -> Answer:
    if row["body"] is None:
        raise KeyConflict(
            "this was done before, and its answer held a secret, which is told once and not kept",
            "Take back what was made, and make another with another key",
        )
    return Answer(row["status"], json.loads(row["headers"]), row["body"], replayed=True)
