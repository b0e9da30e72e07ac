"""The outbox: mail is recorded with the end of its run, claimed before each attempt and marked after it.

All SQL of the notifications, each statement under its title. Claims and marks are conditional
updates with their row count checked, so that two senders never send one mail at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from batchwright.engine.errors import Conflict, NotFound
from batchwright.engine.store.pages import Listing
from batchwright.engine.store.tables import run
from batchwright.notifications.tables import mail

WAITING, SENT, FAILED, NO_RECIPIENT = "waiting", "sent", "failed", "no_recipient"
FOR_DIGEST, IN_DIGEST = "for_digest", "in_digest"
"""Kept for the recipient's next digest, and gone into it."""

STATUSES = (WAITING, SENT, FAILED, NO_RECIPIENT, FOR_DIGEST, IN_DIGEST)

RUN_ENDED = "run_ended"
"""The kind of mail that tells of a run's records: its job knows their ids and more about them."""

LEFT_TO_OTHERS = timedelta(hours=1)
"""How long such a mail is left to a sender that has the job; then it goes without what the job knows."""

HOLD = timedelta(minutes=15)
"""How long a claim keeps other senders away. Who is at it for longer keeps the claim meanwhile."""

CLAIM_AHEAD, PAUSE_AHEAD, DIGEST_AHEAD = timedelta(hours=1), timedelta(hours=8), timedelta(days=2)
"""No claim, no pause after an attempt and no day's end is that far away: such a time was set by a clock that was
ahead, and means nothing. Wide, for clocks of several machines may differ a little."""

_AHEAD = or_(
    mail.c.next_attempt_at > bindparam("no_pause"),
    and_(mail.c.error.is_(None), mail.c.next_attempt_at > bindparam("no_claim")),
)
_IS_DUE = or_(mail.c.next_attempt_at <= bindparam("now"), _AHEAD)
_DIGEST_IS_DUE = or_(
    mail.c.next_attempt_at <= bindparam("now"), mail.c.next_attempt_at > bindparam("no_digest")
)


def _free(*conditions: ColumnElement[bool]) -> CTE:
    """The keys of such mails, locked, without those that somebody keeps."""
    return select(mail.c.id).where(*conditions).with_for_update(skip_locked=True).cte("free")


def waits_for_records() -> ColumnElement[bool]:
    """What holds of a row of ``run`` while a mail waits that is made of its records."""
    return exists().where(mail.c.run_id == run.c.id, mail.c.kind == RUN_ENDED, mail.c.status == WAITING)


# The lines of a listing: everything but the facts.
_LINES = select(
    *(column for column in mail.c if column.name != "facts"), run.c.run_id.label("run_name")
).join(run, run.c.id == mail.c.run_id, isouter=True)

# Those of one run, in order.
_OF_RUN = _LINES.where(mail.c.run_id == bindparam("of_key")).order_by(mail.c.id)

# One mail with its facts.
_MAIL = _LINES.add_columns(mail.c.facts).where(mail.c.mail_id == bindparam("wanted"))

# What is due: waiting mail whose next attempt has come, oldest first.
_DUE = select(mail.c.mail_id).where(mail.c.status == WAITING, _IS_DUE).order_by(mail.c.id)

# Of these what can be composed with what the job knows of the records, and what has waited for that long enough.
_OF_JOBS = or_(
    mail.c.kind != RUN_ENDED,
    mail.c.created_at <= bindparam("long_ago"),
    exists().where(run.c.id == mail.c.run_id, run.c.job.in_(bindparam("jobs", expanding=True))),
)

# What a sender of the route may take.
_OF_ROUTE = or_(mail.c.route.is_(None), mail.c.route == bindparam("own_route"))

# What waits for its next attempt after a failed one; an attempt under way has cleared the error.
_DEFERRED = (
    select(mail.c.mail_id)
    .where(mail.c.status == WAITING, mail.c.error.is_not(None), mail.c.next_attempt_at > bindparam("now"))
    .order_by(mail.c.id)
)

# Waiting mail that was due long ago and that no sender has tried since, by route.
_UNTOUCHED = (
    select(mail.c.route, func.count().label("number"), func.min(mail.c.mail_id).label("oldest"))
    .where(mail.c.status == WAITING, mail.c.next_attempt_at <= bindparam("long_ago"))
    .group_by(mail.c.route)
)

# What was kept for a digest whose time has come.
_FOR_DIGEST = select(mail.c.id).where(mail.c.status == FOR_DIGEST, _DIGEST_IS_DUE)

# The same, marked: a second worker finds it marked already. One that somebody keeps comes into the next digest.
_TAKE_FOR_DIGEST = (
    update(mail)
    .where(mail.c.id.in_(select(_free(mail.c.status == FOR_DIGEST, _DIGEST_IS_DUE))))
    .values(status=IN_DIGEST, next_attempt_at=None)
    .returning(mail.c.id, mail.c.recipient, mail.c.facts, mail.c.route)
)

# The claim: only of a mail that is still as it was read, and due. One that somebody keeps is left for later.
_CLAIM = (
    update(mail)
    .where(
        mail.c.id.in_(
            select(
                _free(
                    mail.c.id == bindparam("wanted"),
                    mail.c.status == WAITING,
                    mail.c.attempts == bindparam("seen_attempts"),
                    _IS_DUE,
                )
            )
        )
    )
    .values(attempts=mail.c.attempts + 1, next_attempt_at=bindparam("held_until"), error=None)
    .returning(mail.c.id)
)

# Accepted: true whatever else happened to the row meanwhile.
_SENT = (
    update(mail)
    .where(mail.c.id == bindparam("wanted"), mail.c.status != SENT)
    .values(status=SENT, sent_at=bindparam("now"), next_attempt_at=None, error=None)
)

# Nobody else has taken the mail since.
_OF_OWN_ATTEMPT = (
    mail.c.id == bindparam("wanted"),
    mail.c.status == WAITING,
    mail.c.attempts == bindparam("own_attempt"),
)

# The claim goes on, of an attempt that takes long.
_KEEP_CLAIM = update(mail).where(*_OF_OWN_ATTEMPT).values(next_attempt_at=bindparam("held_until"))

# Not accepted: only by the sender whose attempt it was.
_NOT_SENT = (
    update(mail)
    .where(*_OF_OWN_ATTEMPT)
    .values(status=bindparam("new_status"), next_attempt_at=bindparam("next_time"), error=bindparam("reason"))
)

# What waits after a failed attempt, due now; but what somebody keeps.
_RETRY_NOW = (
    update(mail)
    .where(
        mail.c.id.in_(
            select(_free(mail.c.status == WAITING, mail.c.mail_id.in_(bindparam("wanted", expanding=True))))
        )
    )
    .values(next_attempt_at=bindparam("now"))
    .returning(mail.c.id, mail.c.mail_id)
)

# Due now, by hand; not while an attempt holds it.
_MAKE_DUE = (
    update(mail)
    .where(
        mail.c.mail_id == bindparam("wanted"),
        mail.c.status.in_((WAITING, FAILED)),
        or_(
            mail.c.attempts == 0,
            mail.c.error.is_not(None),
            mail.c.next_attempt_at <= bindparam("now"),
            mail.c.next_attempt_at > bindparam("no_claim"),
        ),
    )
    .values(status=WAITING, next_attempt_at=bindparam("now"))
)

# Sent once more, by hand.
_AGAIN = (
    update(mail)
    .where(mail.c.mail_id == bindparam("wanted"), mail.c.status == SENT)
    .values(status=WAITING, next_attempt_at=bindparam("now"), sent_at=None)
)


@dataclass(frozen=True, slots=True)
class MailLine:
    """One mail of the outbox without its facts. ``key`` and ``run_key`` are keys; ``error`` is of the last attempt."""

    key: int
    mail_id: str
    run_key: int | None
    run_id: str | None
    kind: str
    recipient: str | None
    status: str
    message_id: str
    attempts: int
    next_attempt_at: datetime | None
    error: str | None
    created_at: datetime
    sent_at: datetime | None
    route: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether an attempt at it may begin."""
        if self.status != WAITING or self.next_attempt_at is None:
            return False
        return self.next_attempt_at <= now or self.is_ahead(now)

    def leaves_by(self, route: str | None) -> bool:
        """Whether a sender of that route may take it; one without a route may take any."""
        return route is None or self.route in (None, route)

    def is_at_rest(self, now: datetime) -> bool:
        """Whether it waits or has failed and no attempt at it is under way, as far as one can tell."""
        if self.status != WAITING or self.attempts == 0 or self.error is not None:
            return self.status in (WAITING, FAILED)
        return self.is_due(now)

    def is_ahead(self, now: datetime) -> bool:
        """Whether the time of its next attempt was set by a clock that was ahead."""
        limit = CLAIM_AHEAD if self.error is None else PAUSE_AHEAD
        return self.next_attempt_at is not None and self.next_attempt_at > now + limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail(MailLine):
    """One mail with the facts its message is made from."""

    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Untouched:
    """So many mails of one route that no sender has tried for long, ``oldest`` the id of the first."""

    route: str | None
    number: int
    oldest: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept of a run for its recipient's digest."""

    recipient: str
    facts: dict[str, Any]
    route: str | None


def record(
    connection: Connection,
    *,
    kind: str,
    run_key: int | None,
    recipients: Sequence[str | None],
    facts: Mapping[str, Any],
    now: datetime,
    domain: str = "localhost",
    digest_at: datetime | None = None,
    route: str | None = None,
) -> None:
    """Record one mail for each recipient, in the caller's transaction. ``None`` is recorded as no recipient.

    ``domain`` is the sender's; it ends the Message-ID, which every attempt at a mail shares. With ``digest_at`` it is
    not sent but kept for the digest of that time. ``route`` (``file`` or ``smtp``) is how it is to leave: senders of
    another do not touch it.
    """
    status = WAITING if digest_at is None else FOR_DIGEST
    for recipient in recipients:
        key = connection.execute(
            insert(mail)
            .values(
                run_id=run_key,
                kind=kind,
                recipient=recipient,
                facts=json.dumps(facts),
                status=NO_RECIPIENT if recipient is None else status,
                message_id=f"<{uuid4().hex}@{domain}>",
                attempts=0,
                next_attempt_at=None if recipient is None else digest_at or now,
                created_at=now,
                route=route,
            )
            .returning(mail.c.id)
        ).scalar_one()
        connection.execute(update(mail).where(mail.c.id == key).values(mail_id=f"ML-{key:08d}"))


def listing(connection: Connection, limit: int | None = None, status: str | None = None) -> list[MailLine]:
    """Every mail, or each in that ``status``, newest first; at most ``limit``."""
    statement = _LINES.order_by(mail.c.id.desc()).limit(limit)
    if status is not None:
        statement = statement.where(mail.c.status == status)
    return list(map(line_of, connection.execute(statement).mappings()))


def pages_of(
    status: str | None = None,
    *,
    kind: str | None = None,
    recipient: str | None = None,
    run_id: str | None = None,
) -> tuple[Listing, Listing | None]:
    """The same for pages, with those of one kind, recipient or run; `line_of` makes a mail of a row.

    With it the keys that a page goes through, where they are others, too: the first condition is found by its index,
    and the rest is looked at.
    """
    asked = {
        mail.c.run_id: None
        if run_id is None
        else select(run.c.id).where(run.c.run_id == run_id).scalar_subquery(),
        func.lower(mail.c.recipient): None if recipient is None else recipient.lower(),
        mail.c.status: status,
        mail.c.kind: kind,
    }
    given = [(column, value) for column, value in asked.items() if value is not None]
    first = [column == value for column, value in given[:1]]
    # Within `coalesce` no other index is taken: SQLite cannot know which finds less.
    rest = [func.coalesce(column, "") == value for column, value in given[1:]]
    walk = Listing(select(mail.c.id).where(*first), (mail.c.id,), newest_first=True)
    listing = Listing(_LINES.where(*first, *rest), (mail.c.id,), newest_first=True)
    return listing, walk if rest else None


def of_run(connection: Connection, run_key: int) -> list[MailLine]:
    """The mails of one run, in the order they were recorded."""
    return list(map(line_of, connection.execute(_OF_RUN, {"of_key": run_key}).mappings()))


def by_id(connection: Connection, mail_id: str) -> Mail:
    """One mail with its facts. Raises ``Refused`` for an unknown id."""
    row = connection.execute(_MAIL, {"wanted": mail_id}).mappings().one_or_none()
    if row is None:
        raise NotFound(
            f"there is no mail {mail_id!r}", field="mail_id", remedy="See `batchwright mail list` for the ids"
        )
    return Mail(**_values(row), facts=json.loads(row["facts"]))


def due(
    connection: Connection,
    now: datetime,
    run_key: int | None,
    jobs: Collection[str] | None = None,
    route: str | None = None,
) -> list[str]:
    """The ids of the mails that are due, oldest first; with ``run_key`` only those of that run.

    With ``jobs`` without those that tell of records of other jobs, for the first hour; with ``route`` without those
    that leave by another.
    """
    statement = _DUE if run_key is None else _DUE.where(mail.c.run_id == run_key)
    values: dict[str, Any] = _times(now)
    if jobs is not None:
        statement = statement.where(_OF_JOBS)
        values |= {"long_ago": now - LEFT_TO_OTHERS, "jobs": list(jobs)}
    return list(connection.scalars(*_by(route, statement, values)))


def digest_is_due(connection: Connection, now: datetime) -> bool:
    """Whether something was kept for a digest whose time has come."""
    times = {"now": now, "no_digest": now + DIGEST_AHEAD}
    return connection.execute(_FOR_DIGEST.limit(1), times).first() is not None


def take_for_digest(connection: Connection, now: datetime) -> list[Kept]:
    """What was kept for the digests that are due, oldest first; marked as gone into them."""
    rows = connection.execute(_TAKE_FOR_DIGEST, {"now": now, "no_digest": now + DIGEST_AHEAD}).all()
    oldest_first = sorted(rows, key=lambda row: int(row.id))
    return [Kept(row.recipient, json.loads(row.facts), row.route) for row in oldest_first]


def deferred(connection: Connection, now: datetime, route: str | None = None) -> list[str]:
    """The ids of the mails that wait for another attempt after a failed one, oldest first; ``route`` as in ``due``."""
    return list(connection.scalars(*_by(route, _DEFERRED, {"now": now})))


def untouched(connection: Connection, since: datetime) -> list[Untouched]:
    """The mails that were due at that time and have not been tried since, by route."""
    rows = connection.execute(_UNTOUCHED, {"long_ago": since})
    return [Untouched(row.route, row.number, row.oldest) for row in rows]


def statuses(connection: Connection, run_key: int | None) -> dict[str, int]:
    """How many mails there are in each status; with ``run_key`` only those of that run."""
    statement = select(mail.c.status, func.count().label("number")).group_by(mail.c.status)
    if run_key is not None:
        statement = statement.where(mail.c.run_id == run_key)
    return {row.status: row.number for row in connection.execute(statement)}


MOST_COUNTED = 10_000
NOT_SENT = ("waiting", "failed", "no_recipient")


def backlog(connection: Connection) -> tuple[dict[str, int], datetime | None]:
    """How many mails there are in each status but sent, 10,000 at most, and since when the first waiting is due."""
    numbers = {status: count(connection, status, MOST_COUNTED) for status in NOT_SENT}
    due = select(func.min(mail.c.next_attempt_at)).where(mail.c.status == "waiting")
    return numbers, connection.execute(due).scalar()


def count(connection: Connection, status: str, at_most: int) -> int:
    """How many mails there are in that status; counted no further than so many."""
    some = select(mail.c.id).where(mail.c.status == status).limit(at_most).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def summary(connection: Connection, status: str, at_most: int) -> tuple[int, int, str | None]:
    """Of the newest mails in that status, so many at most: their number, that of their recipients, the newest error."""
    columns = (mail.c.id, mail.c.recipient, mail.c.error)
    some = (
        select(*columns).where(mail.c.status == status).order_by(mail.c.id.desc()).limit(at_most).subquery()
    )
    newest = select(some.c.error).order_by(some.c.id.desc()).limit(1).scalar_subquery()
    counts = (func.count(), func.count(some.c.recipient.distinct()))
    number, recipients, error = connection.execute(select(*counts, newest).select_from(some)).one()
    return number, recipients, error


def stuck(connection: Connection, since: datetime) -> int:
    """How many mails wait that were due at that time, or recorded by then and refused since; 10,000 at most."""
    overdue = or_(
        mail.c.next_attempt_at <= since, and_(mail.c.error.is_not(None), mail.c.created_at <= since)
    )
    some = select(mail.c.id).where(mail.c.status == WAITING, overdue).limit(MOST_COUNTED).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


NEWEST = 50


def refused_since_sent(connection: Connection) -> int:
    """How many of the newest mails, 50 at most, were refused for good after the last one that was sent."""
    newest = select(mail.c.status).order_by(mail.c.id.desc()).limit(NEWEST)
    until_sent = takewhile(lambda status: status != SENT, connection.execute(newest).scalars())
    return sum(status == FAILED for status in until_sent)


def claim(connection: Connection, line: MailLine, now: datetime) -> bool:
    """Take the mail for one attempt, if nobody else has. If the sender dies, it is due again after ``HOLD``."""
    values = {"wanted": line.key, "seen_attempts": line.attempts, "held_until": now + HOLD, **_times(now)}
    return connection.execute(_CLAIM, values).first() is not None


def keep_claim(connection: Connection, key: int, attempt: int, now: datetime) -> None:
    """Hold the mail for ``HOLD`` from now on. Nothing happens if another attempt has begun since."""
    values = {"wanted": key, "own_attempt": attempt, "held_until": now + HOLD}
    connection.execute(_KEEP_CLAIM, values)


def mark_sent(connection: Connection, key: int, now: datetime) -> None:
    """The mail was accepted."""
    connection.execute(_SENT, {"wanted": key, "now": now})


def mark_waiting(
    connection: Connection, key: int, attempt: int, next_attempt_at: datetime, error: str | None
) -> None:
    """The ``attempt`` failed for now, or, without an ``error``, was cancelled. Nothing happens if another attempt has
    begun since.
    """
    _mark_not_sent(connection, key, attempt, WAITING, next_attempt_at, error)


def mark_failed(connection: Connection, key: int, attempt: int, error: str) -> None:
    """The mail was refused for good. Nothing happens if another attempt has begun since."""
    _mark_not_sent(connection, key, attempt, FAILED, None, error)


def retry_now(connection: Connection, mail_ids: Sequence[str], now: datetime) -> list[str]:
    """Make waiting mails due at once: the ids of those that nobody keeps, oldest first."""
    rows = connection.execute(_RETRY_NOW, {"wanted": list(mail_ids), "now": now}).all()
    return [row.mail_id for row in sorted(rows, key=lambda row: int(row.id))]


def make_due(connection: Connection, mail_id: str, now: datetime, *, again: bool = False) -> None:
    """Make a waiting or failed mail due at once, with ``again`` also one that was sent. Raises ``Refused`` where that
    makes no sense.
    """
    if again and connection.execute(_AGAIN, {"wanted": mail_id, "now": now}).rowcount == 1:
        return
    values = {"wanted": mail_id, "now": now, "no_claim": now + HOLD}
    if connection.execute(_MAKE_DUE, values).rowcount == 1:
        return
    found = by_id(connection, mail_id)
    if found.status == SENT:
        raise Conflict(
            f"{mail_id} was sent to {found.recipient} at {found.sent_at:%Y-%m-%d %H:%M:%S} UTC",
            field="mail_id",
            remedy=f"If it has not arrived: `batchwright mail retry {mail_id} --again`",
        )
    if found.status == NO_RECIPIENT:
        raise Conflict(
            f"{mail_id} has no recipient: the actor of {found.run_id} has no mail address",
            field="mail_id",
            remedy="Give the actor one under [actors] in the settings; it counts from the next run on",
        )
    if found.status in (FOR_DIGEST, IN_DIGEST):
        raise Conflict(
            f"{mail_id} is part of a daily digest of {found.recipient}",
            field="mail_id",
            remedy=f"For a mail of each run: `batchwright users preferences {found.recipient} --mail always`",
        )
    raise Conflict(
        f"{mail_id} is being sent by another process",
        field="mail_id",
        remedy=f"If that process is gone, it is tried again at {found.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC",
    )


def _by(
    route: str | None, statement: Select[Any], values: dict[str, Any]
) -> tuple[Select[Any], dict[str, Any]]:
    if route is None:
        return statement, values
    return statement.where(_OF_ROUTE), {**values, "own_route": route}


def _times(now: datetime) -> dict[str, datetime]:
    return {"now": now, "no_claim": now + CLAIM_AHEAD, "no_pause": now + PAUSE_AHEAD}


def _mark_not_sent(
    connection: Connection,
    key: int,
    attempt: int,
    status: str,
    next_time: datetime | None,
    reason: str | None,
) -> None:
    values = {"wanted": key, "own_attempt": attempt, "new_status": status}
    connection.execute(_NOT_SENT, {**values, "next_time": next_time, "reason": reason})


def line_of(row: RowMapping) -> MailLine:
    """The mail that a row holds."""
    return MailLine(**_values(row))


def _values(row: RowMapping) -> dict[str, Any]:
    others = {
        name: row[name] for name in MailLine.__dataclass_fields__ if name not in ("key", "run_key", "run_id")
    }
    return {"key": row["id"], "run_key": row["run_id"], "run_id": row["run_name"], **others}
