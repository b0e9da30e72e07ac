"""The shapes of users, their tokens and sessions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from batchwright.console.api.models.shapes import Answer, Instant

Role = Literal["viewer", "operator", "Billing Utilities Admin", "administrator"]


class User(Answer):
    """A user."""

    email: Annotated[str, Field(examples=["jane@example.com"])]
    role: Role
    os_user: str | None
    mail: Literal["always", "errors", "never", "digest"]
    disabled: bool
    has_password: bool
    has_token: bool
    created_at: Instant


class Me(User):
    """Who calls: `right` is the role that their token leaves them."""

    right: Role
    token: str | None
    token_expires_at: Instant | None


class Token(Answer):
    """A token; `prefix` is how its text begins, `role` what it allows at most."""

    token_id: int
    name: Annotated[str, Field(examples=["token-1"])]
    prefix: str | None
    role: Role | None
    status: Literal["active", "expired", "revoked"]
    created_at: Instant | None
    created_by: str | None
    expires_at: Instant
    last_used_at: Instant | None
    revoked_at: Instant | None


class NewTokenText(Token):
    """A token that was made: this once with its text, which is kept nowhere."""

    email: str
    token: Annotated[str, Field(examples=["bw_…"])]


class Session(Answer):
    """A browser that is signed in; `current` is the one that asks."""

    session_id: int
    address: str
    browser: str | None
    created_at: Instant
    last_used_at: Instant
    ends_at: Instant
    current: bool


class EndedSessions(Answer):
    """How many sessions were ended."""

    ended: int
