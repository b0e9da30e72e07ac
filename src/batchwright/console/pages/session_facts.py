"""What is shown of a session before it ends."""

from __future__ import annotations

from batchwright.console.pages.visit import Pairs, Visit
from batchwright.engine.errors import NotFound
from batchwright.operations.access.sessions import list_sessions
from batchwright.operations.browsers import browser_words


def facts_of_session(visit: Visit, email: str, session_id: int) -> Pairs:
    """The browser of a user's session and where it signed in. Refuses one that is over."""
    for session in list_sessions(visit.app, email, actor=visit.actor):
        if session["session_id"] == session_id:
            return [("Browser", browser_words(session["browser"])), ("Signed in from", session["address"])]
    raise NotFound(
        f"{email} has no session {session_id}", field="session_id", remedy="It may be over already"
    )
