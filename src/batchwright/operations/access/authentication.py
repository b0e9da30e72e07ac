"""Who comes in by a web door: a token becomes the actor of its user."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Final

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from batchwright.config.settings import operating_system_user
from batchwright.engine.faults import reason_of
from batchwright.operations import token_store
from batchwright.operations.actor import Actor, Door, Principal, Unauthenticated, check_actor
from batchwright.operations.app import Application

LONGEST_TEXT: Final = 128
"""Characters; no token of ours is as long."""

log = structlog.get_logger()


def authenticate_token(app: Application, text: str | None, address: str) -> Actor:
    """The user of a token, as they act by the API from that address.

    Raises `Unauthenticated`, alike for a token that is missing, unknown, expired or revoked and for a user who is
    disabled; the log tells them apart. Which hour a token was used in last is noted once an hour.
    """
    check_actor(address, "address")
    app.database.require()
    now = app.clock.now()
    token = _token(app, text)
    why = _fault(text, token, now)
    if token is None or why is not None:
        log.warning("a caller was not let in", why=why, address=address, token=token and token["id"])
        raise Unauthenticated(
            "the token is missing or not valid",
            field="token",
            remedy="Ask an administrator for one: `batchwright users token EMAIL`",
        )
    _note_use(app, token, now)
    principal = Principal(token["user_id"], token["id"], address)
    return Actor(token["email"], operating_system_user(), Door.API, principal)


def _token(app: Application, text: str | None) -> RowMapping | None:
    if not text or len(text) > LONGEST_TEXT or not text.isascii():
        return None
    with app.database.read_autocommit() as connection:
        return token_store.token_by_hash(connection, sha256(text.encode()).hexdigest())


def _fault(text: str | None, token: RowMapping | None, now: datetime) -> str | None:
    if token is None:
        return "its token is unknown" if text else "it has no token"
    if token["disabled"]:
        return f"{token['email']} is disabled"
    if token["revoked_at"] is not None:
        return "its token was revoked"
    return "its token has expired" if token["expires_at"] <= now else None


def _note_use(app: Application, token: RowMapping, now: datetime) -> None:
    """A write may wait its turn, so each process tries once an hour, and whoever calls is let in either way."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    noted = [token["last_used_at"], app.token_uses.get(token["id"])]
    if any(at is not None and at >= hour for at in noted):
        return
    app.token_uses[token["id"]] = hour
    try:
        with app.database.write() as connection:
            token_store.note_use(connection, token["id"], hour)
    except (SQLAlchemyError, OSError) as error:
        log.warning("the use of a token could not be noted", token=token["id"], reason=reason_of(error))
