"""The mail of the outbox: what became of each, the message as it is sent, and sending it again."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Annotated, Final

from fastapi import Query
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, Response

from batchwright.console.envelope import HEADERS
from batchwright.console.pages.formats import plural
from batchwright.console.pages.visit import (
    FORM,
    NOTICES,
    VISIT,
    Confirmation,
    ListParams,
    Pages,
    Visit,
    text_of,
)
from batchwright.engine.errors import Refused
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.mail import (
    MailKind,
    failed_mail,
    mail_page,
    read_message,
    retry_mail,
    retry_mails,
    show_mail,
)
from batchwright.operations.paging import LONGEST_PAGE
from batchwright.operations.views import View

pages = Pages()
NOTICES["mails_tried"] = "They are being tried: the status of each says how that ended."
NOTICES["mail_tried"] = "It was tried: its status says how that ended."
KINDS: Final = {
    "run_ended": "Run ended",
    "digest": "Daily digest",
    "schedule_late": "Schedule late",
    "account": "Account",
    "token_expires": "Token expires",
}
STATES: Final = {
    "waiting": "Waiting",
    "sent": "Sent",
    "failed": "Failed",
    "no_recipient": "No recipient",
    "for_digest": "For the digest",
    "in_digest": "In a digest",
}
LETTER: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'; base-uri 'none';"
    " form-action 'none'"
)
"""The policy of a message that is shown: it styles itself, and does nothing else, wherever it is opened."""
FRAMING: Final = {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"] + "; frame-src 'self'",
}


TRIED_SECONDS: Final = 5.0
"""So long a page sends mail; what is left by then is due, and workers send it."""


class MailParams(ListParams):
    """Which mail."""

    status: str | None = None
    kind: MailKind | None = None
    recipient: str | None = None
    run_id: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered away."""
        return any((self.status, self.kind, self.recipient, self.run_id))


@pages.page("/mail")
def mail(params: Annotated[MailParams, Query()], visit: Visit = VISIT) -> Response:
    """The mail, newest first."""
    page = mail_page(
        visit.app,
        params.status,
        kind=params.kind,
        recipient=params.recipient,
        run_id=params.run_id,
        limit=params.limit,
        after=params.after,
        actor=visit.actor,
    )
    waiting = sum(item["status"] == "waiting" for item in page.items)
    return visit.page(
        "mail.html",
        params=params,
        kinds=KINDS,
        states=STATES,
        page=page,
        waiting=waiting,
        is_live=bool(waiting) and params.after is None,
        pager=visit.pager(page),
        only_files=visit.app.settings.mail.transport == "file",
    )


@pages.page("/retry-failed-mail", Right.OPERATE)
def ask_for_all(visit: Visit = VISIT) -> Response:
    """What is asked before all mail that failed is sent again."""
    return visit.confirmation(_all_again(visit))


@pages.act("/retry-failed-mail", Right.OPERATE)
def all_again(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Try all mail that failed, now or as soon as a worker can."""

    def act() -> Response:
        clock = visit.app.clock
        until = clock.monotonic() + TRIED_SECONDS
        retry_mails(
            visit.app,
            status="failed",
            actor=visit.actor,
            reason=text_of(form, "reason"),
            stop=lambda: clock.monotonic() > until,
        )
        return visit.go("/mail", done="mails_tried")

    try:
        return visit.once(form, act)
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_all_again(visit), refused=refused, values=dict(form))


def _all_again(visit: Visit) -> Confirmation:
    failed = failed_mail(visit.app, LONGEST_PAGE + 1, actor=visit.actor)
    is_more = failed["number"] > LONGEST_PAGE
    count = f"{'more than ' if is_more else ''}{plural(min(failed['number'], LONGEST_PAGE), 'mail')}"
    return Confirmation(
        f"Send {count} again?",
        "Send again",
        "/mail?status=failed",
        facts=[
            ("Newest answer of a server", failed["error"]),
            ("Recipients", f"{failed['recipients']:,}"),
        ],
    )


@pages.page("/mail/{mail_id}")
def one_mail(mail_id: str, visit: Visit = VISIT) -> Response:
    """One mail: what became of it, and its message."""
    shown = show_mail(visit.app, mail_id, actor=visit.actor)
    message, why_not = _message(visit, mail_id)
    answer = visit.page(
        "mail_one.html",
        mail=shown,
        kinds=KINDS,
        states=STATES,
        message=message,
        text=None if message is None else _part(message, "plain"),
        attached=[] if message is None else [part.get_filename() for part in message.iter_attachments()],
        why_not=why_not,
    )
    answer.headers.update(FRAMING)
    return answer


def _message(visit: Visit, mail_id: str) -> tuple[EmailMessage | None, str | None]:
    """The message, or why there is none: its run is gone, or a template of the user's own has a fault."""
    try:
        return read_message(visit.app, mail_id, actor=visit.actor), None
    except Forbidden:
        raise
    except Refused as refused:
        return None, refused.message


@pages.page("/mail/{mail_id}/message")
def message(mail_id: str, visit: Visit = VISIT) -> Response:
    """The message alone, for the frame that shows it."""
    made = read_message(visit.app, mail_id, actor=visit.actor)
    return HTMLResponse(_part(made, "html"), headers={"Content-Security-Policy": LETTER})


@pages.page("/mail/{mail_id}/retry", Right.OPERATE)
def ask_again(mail_id: str, visit: Visit = VISIT) -> Response:
    """What is asked before a mail is sent again."""
    return visit.confirmation(_again(show_mail(visit.app, mail_id, actor=visit.actor)))


@pages.act("/mail/{mail_id}/retry", Right.OPERATE)
def again(mail_id: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Try to send a mail now."""
    shown = show_mail(visit.app, mail_id, actor=visit.actor)

    def act() -> Response:
        reason = text_of(form, "reason")
        retry_mail(visit.app, mail_id, again="again" in form, actor=visit.actor, reason=reason)
        return visit.go(f"/mail/{mail_id}", done="mail_tried")

    try:
        return visit.once(form, act)
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_again(shown), refused=refused, values=dict(form))


def _again(mail: View) -> Confirmation:
    sent = mail["status"] == "sent"
    return Confirmation(
        f"Send {mail['mail_id']} again?" if sent else f"Send {mail['mail_id']} now?",
        "Send again" if sent else "Send now",
        f"/mail/{mail['mail_id']}",
        facts=[
            ("To", mail["recipient"]),
            ("Status", STATES[mail["status"]]),
            ("Attempts", mail["attempts"]),
            ("Server's answer", mail["error"]),
        ],
        warning="It was sent once: who gets it gets it twice." if sent else None,
        hidden={"again": "true"} if sent else {},
    )


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    return "" if body is None else str(body.get_content())
