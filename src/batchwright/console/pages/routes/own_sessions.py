"""Where somebody is signed in, and the end of a session or of all others."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages.session_facts import facts_of_session
from batchwright.console.pages.visit import (
    FORM,
    NOTICES,
    VISIT,
    Confirmation,
    ListParams,
    Pages,
    Pairs,
    Visit,
)
from batchwright.engine.errors import Refused
from batchwright.operations.access.permissions import Right
from batchwright.operations.access.sessions import (
    end_session,
    end_sessions,
    sessions_page,
)

pages = Pages()
SESSIONS: Final = "/preferences/sessions"
NOTICES["session"] = "The session has ended."
NOTICES["sessions"] = "Every other session has ended."


@pages.page(SESSIONS)
def own_sessions(params: Annotated[ListParams, Query()], visit: Visit = VISIT) -> Response:
    """The sessions by which who looks is signed in."""
    page = sessions_page(visit.app, visit.email, limit=params.limit, after=params.after, actor=visit.actor)
    return visit.page("own_sessions.html", page=page, pager=visit.pager(page))


@pages.page(f"{SESSIONS}/end")
def ask_others(visit: Visit = VISIT) -> Response:
    """Whether all other sessions are to end."""
    return visit.confirmation(_ending_others())


@pages.act(f"{SESSIONS}/end", Right.LOOK, asks_password=True)
def end_others(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """End all other sessions."""
    end_sessions(visit.app, visit.email, actor=visit.actor, but_own=True)
    return visit.go(SESSIONS, done="sessions")


@pages.page(f"{SESSIONS}/{{session_id}}/end")
def ask(session_id: int, visit: Visit = VISIT) -> Response:
    """Whether a session is to end."""
    return visit.confirmation(_ending(session_id, facts_of_session(visit, visit.email, session_id)))


@pages.act(f"{SESSIONS}/{{session_id}}/end", Right.LOOK, asks_password=True)
def end(session_id: int, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """End a session."""
    try:
        end_session(visit.app, visit.email, session_id, actor=visit.actor)
    except Refused as refused:
        return visit.confirmation(_ending(session_id), refused=refused)
    return visit.go(SESSIONS, done="session")


def _ending(session_id: int, facts: Pairs = ()) -> Confirmation:
    return Confirmation(
        f"End session {session_id}?",
        "End session",
        SESSIONS,
        facts=facts,
        warning="Whoever uses it has to sign in again at once.",
        reason=None,
        danger=True,
    )


def _ending_others() -> Confirmation:
    return Confirmation(
        "End all other sessions?",
        "End all others",
        SESSIONS,
        warning="Whoever uses them has to sign in again at once. This one stays.",
        reason=None,
        danger=True,
    )
