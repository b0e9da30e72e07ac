"""Tokens, by which programs call the API as a user: made, listed and revoked."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import count
from typing import Final, NamedTuple
from zlib import crc32

from sqlalchemy import RowMapping

from batchwright.engine.errors import Conflict, NotFound, Refused
from batchwright.operations import token_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import ROLES, Right, permit
from batchwright.operations.access.users import existing_user
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_one_of
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.tables import LONGEST_TOKEN_NAME
from batchwright.operations.views import Row, View, picked

SHOWN: Final = 11
"""Characters of a token that are kept and shown: "bw_" and 48 bits of 256."""

NOTICE_PERIOD: Final = timedelta(days=14)
"""How long before a token expires its user is notified."""


class MadeToken(NamedTuple):
    """A token's text, which is kept nowhere, and what `list_tokens` says of it."""

    text: str
    view: View


def make_token(
    app: Application,
    email: str,
    *,
    name: str | None = None,
    role: str | None = None,
    expires: str | None = None,
    actor: Actor,
    reason: str | None = None,
) -> MadeToken:
    """A new token for a user, beside those they have. Only its hash is kept: its text is never shown again.

    Args:
        name: one that no active token of theirs has (default: `token-1` and so on).
        role: the most it allows (default: all that its user may do).
        expires: the last day on which it is valid, in the setting `time_zone` (default: in a year).
    """
    permit(app, actor, Right.ADMINISTER, "user.token")
    if name is not None:
        _check_name(name)
    if role is not None:
        check_one_of(role, ROLES, field="role")
    now = app.clock.now()
    expires_at = a_year_after(now) if expires is None else _end_of(app, expires, now)
    text = _new_text()
    with app.database.write() as connection:
        user_store.lock_users(connection)
        user = existing_user(connection, email)
        there = token_store.tokens_of(connection, user["id"])
        _check_free(user, name, there, now)
        made = {
            "name": name or _free_name({token["name"] for token in there}),
            "hash": sha256(text.encode()).hexdigest(),
            "prefix": text[:SHOWN],
            "role": role,
            "created_at": now,
            "created_by": actor.name,
            "expires_at": expires_at,
            # Whoever makes a token for so short a time knows.
            "told_at": now if expires_at <= now + NOTICE_PERIOD else None,
        }
        view = _view(token_store.add_token(connection, user["id"], made), now)
        audit.record(connection, actor, "user.token", user["email"], reason=reason, after=view, now=now)
    return MadeToken(text, view)


def list_tokens(app: Application, email: str, *, actor: Actor | None = None) -> list[View]:
    """The tokens that a user ever had, oldest first: `token_id, name, prefix, role, status, created_at, created_by,
    expires_at, last_used_at, revoked_at`.

    `status` is `active`, `expired` or `revoked`; `role` is `None` where it allows all that its user may. A token from
    before tokens had names is called `first`, and the rest of it is not known.
    """
    permit(app, actor, Right.ADMINISTER, "user.tokens")
    now = app.clock.now()
    with app.database.read() as connection:
        user = existing_user(connection, email)
        return [_view(row, now) for row in token_store.tokens_of(connection, user["id"])]


def tokens_page(
    app: Application, email: str, *, limit: int = PAGE, after: str | None = None, actor: Actor | None = None
) -> Page[View]:
    """A page of the tokens that a user ever had, oldest first."""
    permit(app, actor, Right.ADMINISTER, "user.tokens")
    now = app.clock.now()
    with app.database.read() as connection:
        user = existing_user(connection, email)

    def view(row: RowMapping) -> View:
        return _view(row, now)

    listing = token_store.token_listing(user["id"])
    return page_of(app.database, "tokens", listing, {"email": user["email"]}, view, limit=limit, after=after)


def revoke_token(app: Application, email: str, name: str, *, actor: Actor, reason: str | None = None) -> View:
    """End a token of a user at once."""
    permit(app, actor, Right.ADMINISTER, "user.revoke_token")
    now = app.clock.now()
    with app.database.write() as connection:
        user_store.lock_users(connection)
        user = existing_user(connection, email)
        there = token_store.tokens_of(connection, user["id"])
        token = next((one for one in there if one["name"] == name and _status(one, now) == "active"), None)
        if token is None:
            raise NotFound(
                f"{user['email']} has no active token {name!r}",
                field="name",
                remedy=f"See `batchwright users tokens {user['email']}` for those they have",
            )
        token_store.revoke_token(connection, token["id"], now)
        before, after = _view(token, now), _view({**token, "revoked_at": now}, now)
        audit.record(
            connection,
            actor,
            "user.revoke_token",
            user["email"],
            reason=reason,
            before=before,
            after=after,
            now=now,
        )
    return after


def a_year_after(moment: datetime) -> datetime:
    """The same day and time of the next year; of 29 February 28 February."""
    try:
        return moment.replace(year=moment.year + 1)
    except ValueError:
        return moment.replace(year=moment.year + 1, day=28)


def _end_of(app: Application, expires: str, now: datetime) -> datetime:
    try:
        next_day = date.fromisoformat(expires) + timedelta(days=1)
        end = datetime.combine(next_day, time.min, app.zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(
            f"{expires!r} is not a day on which a token can expire",
            field="expires",
            remedy=f"Write it as {a_year_after(now).date()}",
        ) from None
    if end <= now:
        raise Refused(
            f"a token that expires after {expires} would already have expired",
            field="expires",
            remedy="Give a day to come, or none for a year",
        )
    return end


def _new_text() -> str:
    """256 random bits; the end is a checksum, so that who looks for lost secrets can tell a token from noise."""
    random = f"bw_{secrets.token_urlsafe(32)}"
    checksum = crc32(random.encode()).to_bytes(4)
    return random + urlsafe_b64encode(checksum).decode().rstrip("=")


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_TOKEN_NAME:
        raise Refused(
            f"{name!r} cannot be the name of a token",
            field="name",
            remedy=f"Give printable characters, at most {LONGEST_TOKEN_NAME}",
        )


def _check_free(user: Row, name: str | None, there: Iterable[Row], now: datetime) -> None:
    email = user["email"]
    if user["disabled"]:
        raise Conflict(
            f"the user {email} is disabled",
            field="email",
            remedy=f"Enable them first: `batchwright users enable {email}`",
        )
    if any(token["name"] == name and _status(token, now) == "active" for token in there):
        raise Conflict(
            f"{email} has an active token {name!r} already",
            field="name",
            remedy=f"Give another name, or end that one: `batchwright users revoke-token {email} NAME`",
        )


def _free_name(taken: Collection[str]) -> str:
    return next(name for number in count(1) if (name := f"token-{number}") not in taken)


def _status(token: Row, now: datetime) -> str:
    if token["revoked_at"] is not None:
        return "revoked"
    return "active" if token["expires_at"] > now else "expired"


def _view(token: Row, now: datetime) -> View:
    return {
        "token_id": token["id"],
        **picked(token, "name prefix role"),
        "status": _status(token, now),
        **picked(token, "created_at created_by expires_at last_used_at revoked_at"),
    }
