"""The mail of the outbox."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, Body, Call, Doors, PageQuery, answer, page_answer
from batchwright.console.api.models.mail import Mail, WholeMail
from batchwright.console.api.models.shapes import Page
from batchwright.operations.access.permissions import Right
from batchwright.operations.mail import MailKind, mail_page, retry_mail, show_mail

doors = Doors("mail")


class MailQuery(PageQuery):
    """Which mail."""

    status: str | None = Field(None, examples=["failed"])
    kind: MailKind | None = None
    recipient: str | None = None
    run_id: str | None = None


class Again(Body):
    """Why, and whether a mail that was sent is to be sent once more."""

    reason: str | None = None
    again: bool = False


ONCE: Final = Again()


@doors.door("GET", "/mail", mail_page, Right.LOOK, answers={200: Page[Mail]})
def listing(query: Annotated[MailQuery, InQuery()], call: Call = CALL) -> Response:
    """The mail, newest first."""
    return page_answer(call, mail_page(call.app, actor=call.actor, **query.model_dump()))


@doors.door("GET", "/mail/{mail_id}", show_mail, Right.LOOK, answers={200: WholeMail})
def show(mail_id: str, call: Call = CALL) -> Response:
    """One mail."""
    return answer(show_mail(call.app, mail_id, actor=call.actor), request=call.request)


@doors.door("POST", "/mail/{mail_id}/retry", retry_mail, Right.OPERATE, answers={200: Mail})
def retry(mail_id: str, how: Again = ONCE, call: Call = CALL) -> Response:
    """Try to send a mail now."""
    return answer(retry_mail(call.app, mail_id, again=how.again, actor=call.actor, reason=how.reason))
