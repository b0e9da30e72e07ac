"""How often somebody may try a password: a delay that doubles, by user and by address, and that ends always.

A try is counted before it is looked at, so that many at once cannot get around it. Who is waited for is kept in the
database as a hash: every web process counts alike, and nothing that was typed stands there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection

from batchwright.engine.errors import Refused
from batchwright.operations import session_store, sign_in_store
from batchwright.operations.access.authentication import secret_hash
from batchwright.operations.actor import network_of
from batchwright.operations.app import Application
from batchwright.operations.tables import one_time_link, sign_in_try, user_session

OF_USER: Final = 5
OF_ADDRESS: Final = 20
OF_MAILS: Final = 3
"""So many tries there are without a delay."""
NO_LIMIT: Final = 2**31
FIRST_DELAY: Final = timedelta(seconds=1)
LONGEST_DELAY: Final = timedelta(minutes=15)
FORGOTTEN_AFTER: Final = timedelta(days=1)
"""So long after the last try they are counted from the beginning."""
SESSIONS_KEPT: Final = timedelta(days=30)
"""So long after its end a session tells where its user signed in before."""


class TooManyTries(Refused):
    """A try that was not looked at: others were made before it (HTTP: 429)."""

    def __init__(self, wait: timedelta) -> None:
        self.seconds = max(1, math.ceil(wait.total_seconds()))
        minutes = math.ceil(self.seconds / 60)
        said = f"{minutes} minutes" if minutes > 2 else f"{self.seconds} s"
        super().__init__(
            "there were too many tries, and this one was not looked at", remedy=f"Try again in {said}"
        )


class Counted(NamedTuple):
    """What tries are counted for, and how many there are without a delay."""

    what: str
    free: int

    @property
    def hash(self) -> str:
        """What it is kept by."""
        return secret_hash(self.what)


def tries_at_password(connection: Connection, email: str, user_id: int | None, address: str) -> list[Counted]:
    """What a try at somebody's password is counted for: the user, the address, and what the user learns of later.

    From where they signed in before, a user is counted apart: who tries from elsewhere cannot keep them out there.
    """
    address = network_of(address)
    # Asked of nobody, too: it takes its time.
    known = session_store.signed_in_from(connection, user_id or 0, address)
    return [
        _of_user(email, address if known else None),
        Counted(f"address {address}", OF_ADDRESS),
        unreported(email),
    ]


def unreported(email: str) -> Counted:
    """All tries since somebody last signed in as that user."""
    return Counted(f"failures {email}", NO_LIMIT)


def count_try(app: Application, counted: Sequence[Counted]) -> None:
    """Count one try. Raises `TooManyTries` where it comes too early; then it is not counted."""
    now, hashes = app.clock.now(), [each.hash for each in counted]
    with app.database.read_autocommit() as connection:  # who only waits keeps no writer waiting
        _check_free(sign_in_store.free_at(connection, hashes), now)
    with app.database.write() as connection:
        rows = sign_in_store.lock_tries(connection, hashes, now)
        _check_free(max(row["free_at"] for row in rows.values()), now)
        for each in counted:
            row = rows[each.hash]
            before = 0 if now - row["last_at"] > FORGOTTEN_AFTER else row["tries"]
            tries = min(before, NO_LIMIT - 2) + 1
            sign_in_store.set_tries(connection, each.hash, tries, now, now + delay_after(tries - each.free))


def _check_free(free_at: datetime | None, now: datetime) -> None:
    # A time further away was set by a clock that was ahead, and means nothing.
    if free_at is not None and now < free_at < now + 2 * LONGEST_DELAY:
        raise TooManyTries(min(free_at - now, LONGEST_DELAY))


def forgive_try(
    connection: Connection, counted: Sequence[Counted], now: datetime, *, reported: bool = True
) -> int:
    """Take a try back that succeeded, and with it those of its user; how many failed since they signed in last.

    Where those are not `reported`, the user learns of them at the next sign-in.
    """
    user, address, since = (each.hash for each in counted)
    rows = sign_in_store.lock_tries(connection, [user, address, since], now)
    failed = max(0, int(rows[since]["tries"]) - 1)
    sign_in_store.set_tries(connection, user, 0, now, now)
    sign_in_store.set_tries(connection, address, max(0, rows[address]["tries"] - 1), now, now)
    sign_in_store.set_tries(connection, since, 0 if reported else failed, now, now)
    return failed


def forgive_user(connection: Connection, email: str, address: str, now: datetime) -> None:
    """Forget the tries at the password of somebody at that address, who has another one now."""
    at_address = _of_user(email, network_of(address))
    hashes = [each.hash for each in (_of_user(email), at_address, unreported(email))]
    for hashed in sign_in_store.lock_tries(connection, hashes, now):
        sign_in_store.set_tries(connection, hashed, 0, now, now)


def prune_sign_ins(app: Application) -> None:
    """Delete counts that are forgotten, links that have expired, and sessions that have for long."""
    now = app.clock.now()
    before = {
        sign_in_try.c.last_at: now - FORGOTTEN_AFTER,
        one_time_link.c.expires_at: now - FORGOTTEN_AFTER,
        user_session.c.expires_at: now - SESSIONS_KEPT,
    }
    with app.database.read_autocommit() as connection:
        there = sign_in_store.anything_before(connection, before)
    if there:
        with app.database.write() as connection:
            sign_in_store.delete_before(connection, before)


def _of_user(email: str, address: str | None = None) -> Counted:
    return Counted(f"user {email}" if address is None else f"user {email} at {address}", OF_USER)


def delay_after(tries: int) -> timedelta:
    """How long no other try is taken after so many beyond those without a delay."""
    if tries < 1:
        return timedelta()
    return min(LONGEST_DELAY, FIRST_DELAY * (1 << min(tries - 1, 20)))
