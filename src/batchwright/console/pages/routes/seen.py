"""Marking as seen what the overview says needs somebody."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Confirmation, Pages, Visit, text_of
from batchwright.engine.errors import Refused
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.acknowledging import acknowledge, show_trouble

pages = Pages()
PATH = "/seen/{kind}/{subject:path}"
NOTICES["seen"] = "It is marked as seen. It comes back when something new happens to it."


@pages.page(PATH, Right.OPERATE)
def ask(kind: str, subject: str, visit: Visit = VISIT) -> Response:
    """What is wrong, and a note for others."""
    return visit.confirmation(_asked(visit, kind, subject))


@pages.act(PATH, Right.OPERATE)
def mark(kind: str, subject: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Mark it as seen, where it is as it was shown."""
    seen = [text_of(form, "expected") or ""]

    def do() -> Response:
        acknowledge(visit.app, kind, subject, note=text_of(form, "note"), seen=seen, actor=visit.actor)
        return visit.go("/", done="seen")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_asked(visit, kind, subject), refused=refused, values=form)


def _asked(visit: Visit, kind: str, subject: str) -> Confirmation:
    shown = show_trouble(visit.app, kind, subject, actor=visit.actor)
    trouble, known = shown["trouble"], shown["acknowledged"]
    return Confirmation(
        question=f"Mark {subject} as seen?",
        act="Seen",
        back="/",
        facts=[
            ("What", trouble["status"]),
            ("Why", trouble["error"] or f"{trouble.get('errored') or 0:,} records in error"),
            *([("Seen by", f"{known['actor']}: {known['note'] or 'no note'}")] if known else []),
        ],
        reason=None,
        hidden={"expected": shown["version"]},
        body="seen_note.html",
    )
