"""Users, their tokens and their sessions."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, NO_REASON, Call, Doors, PageQuery, Why, answer, page_answer
from batchwright.console.api.models.shapes import Page
from batchwright.console.api.models.users import EndedSessions, NewTokenText, Session, Token, User
from batchwright.operations.access.permissions import Right
from batchwright.operations.access.sessions import end_session, end_sessions, sessions_page
from batchwright.operations.access.tokens import make_token, revoke_token, tokens_page
from batchwright.operations.access.users import (
    add_user,
    disable_user,
    enable_user,
    set_mail,
    set_role,
    users_page,
)

doors = Doors("users")


class NewRole(Why):
    """A role, and the login name that is theirs on the command line: "" for none (default: unchanged)."""

    role: str = Field(examples=["operator"])
    os_user: str | None = Field(None, examples=["jane"])


class NewUser(NewRole):
    """A user to add."""

    email: str = Field(examples=["jane@example.com"])


class MailChoice(Why):
    """Which mail of ended runs somebody gets."""

    mail: str = Field(examples=["errors"])


class NewToken(Why):
    """A token to make: `role` is what it allows at most, `expires` the last day on which it is good."""

    name: str | None = Field(None, examples=["nightly"])
    role: str | None = Field(None, examples=["operator"])
    expires: str | None = Field(None, examples=["2027-06-30"])


@doors.door("GET", "/users", users_page, Right.ADMINISTER, answers={200: Page[User]})
def listing(query: Annotated[PageQuery, InQuery()], call: Call = CALL) -> Response:
    """The users by address."""
    return page_answer(call, users_page(call.app, limit=query.limit, after=query.after, actor=call.actor))


@doors.door("POST", "/users", add_user, Right.ADMINISTER, answers={201: User})
def add(new: NewUser, call: Call = CALL) -> Response:
    """Add a user."""
    added = add_user(call.app, new.email, new.role, os_user=new.os_user, actor=call.actor, reason=new.reason)
    return answer(added, status=HTTPStatus.CREATED)


@doors.door("POST", "/users/{email}/role", set_role, Right.ADMINISTER, answers={200: User})
def role(email: str, new: NewRole, call: Call = CALL) -> Response:
    """Give a user another role."""
    return answer(
        set_role(call.app, email, new.role, os_user=new.os_user, actor=call.actor, reason=new.reason)
    )


@doors.door("POST", "/users/{email}/disable", disable_user, Right.ADMINISTER, answers={200: User})
def disable(email: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Disable a user: they may do nothing from then on."""
    return answer(disable_user(call.app, email, actor=call.actor, reason=why.reason))


@doors.door("POST", "/users/{email}/enable", enable_user, Right.ADMINISTER, answers={200: User})
def enable(email: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Let a disabled user act again."""
    return answer(enable_user(call.app, email, actor=call.actor, reason=why.reason))


@doors.door(
    "POST",
    "/users/{email}/preferences",
    set_mail,
    Right.ADMINISTER,
    answers={200: User},
    name="set_mail_of_user",
)
def preferences(email: str, choice: MailChoice, call: Call = CALL) -> Response:
    """Say which mail another user gets."""
    return answer(set_mail(call.app, email, choice.mail, actor=call.actor, reason=choice.reason))


@doors.door("GET", "/users/{email}/tokens", tokens_page, Right.ADMINISTER, answers={200: Page[Token]})
def tokens(email: str, query: Annotated[PageQuery, InQuery()], call: Call = CALL) -> Response:
    """The tokens that a user ever had."""
    page = tokens_page(call.app, email, limit=query.limit, after=query.after, actor=call.actor)
    return page_answer(call, page)


@doors.door(
    "POST", "/users/{email}/tokens", make_token, Right.ADMINISTER, answers={201: NewTokenText}, secret=True
)
def token(email: str, new: NewToken, call: Call = CALL) -> Response:
    """Make a token; its text is in this answer alone."""
    made = make_token(
        call.app,
        email,
        name=new.name,
        role=new.role,
        expires=new.expires,
        actor=call.actor,
        reason=new.reason,
    )
    return answer({"email": email, "token": made.text, **made.view}, status=HTTPStatus.CREATED)


@doors.door(
    "POST", "/users/{email}/tokens/{name:path}/revoke", revoke_token, Right.ADMINISTER, answers={200: Token}
)
def revoke(email: str, name: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """End a token at once."""
    return answer(revoke_token(call.app, email, name, actor=call.actor, reason=why.reason))


@doors.door("GET", "/users/{email}/sessions", sessions_page, Right.ADMINISTER, answers={200: Page[Session]})
def sessions(email: str, query: Annotated[PageQuery, InQuery()], call: Call = CALL) -> Response:
    """The sessions by which a user is signed in to the console."""
    page = sessions_page(call.app, email, limit=query.limit, after=query.after, actor=call.actor)
    return page_answer(call, page)


@doors.door(
    "POST", "/users/{email}/sessions/end", end_sessions, Right.ADMINISTER, answers={200: EndedSessions}
)
def end_all(email: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """End all sessions of a user at once."""
    return answer({"ended": end_sessions(call.app, email, actor=call.actor, reason=why.reason)})


@doors.door(
    "POST", "/users/{email}/sessions/{session_id}/end", end_session, Right.ADMINISTER, answers={200: Session}
)
def end(email: str, session_id: int, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """End a session at once."""
    return answer(end_session(call.app, email, session_id, actor=call.actor, reason=why.reason))
