"""One usage input: its amounts and how they came about, its history, and what is done to it.

Its id may have a slash, so that the addresses of others below `/usage-inputs` are those of modules before this one.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Query
from pydantic import Field
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.billing.records.inputs import InputStatus
from batchwright.console.pages.formats import money
from batchwright.console.pages.input_acts import ACTS, Act
from batchwright.console.pages.render import LIVE
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Confirmation, Pages, Params, Visit, text_of
from batchwright.engine.errors import Changed, NotFound, Refused
from batchwright.notifications.remedies import in_console, remedy
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.billing.explanations import HISTORY_PAGE, explain_usage_input, usage_input_history
from batchwright.operations.billing.loaded import price_id
from batchwright.operations.billing.service import BillingService
from batchwright.operations.billing.usage_inputs import add_usage_input, edit_usage_input, show_usage_input
from batchwright.operations.versions import check_seen, version_of
from batchwright.operations.views import View

pages = Pages()
EDITED: Final = ("quantity", "usage_date", "description")
ADDED: Final = (
    "asset_line_item_id",
    "usage_date",
    "quantity",
    "product_uom",
    "description",
    "usage_input_id",
)
NOTICES.update({f"usage-input-{name}": act.done for name, act in ACTS.items()})
NOTICES.update(
    {
        "usage-input-edited": "The usage input was changed.",
        "usage-input-added": "The usage input was added.",
        "usage-input-not-done": "This was not done for the usage input. The first line of its history says why.",
    }
)
LINES: Final = {
    "included": "Included quantity",
    "usage": "Usage",
    "package": "Package",
    "fee": "Fee",
    "paid": "Paid before in this window",
    "minimum": "Up to the minimum",
    "maximum": "Down to the maximum",
    "discount": "Discount",
    "rounding": "Rounding",
}


class AddParams(Params):
    """What the form of a new usage input is filled with."""

    asset_line_item_id: str | None = None
    usage_date: str | None = None
    quantity: str | None = None
    product_uom: str | None = None
    description: str | None = None
    usage_input_id: str | None = None


class HistoryParams(Params):
    """Which part of a history."""

    limit: int = Field(HISTORY_PAGE, ge=1, le=200)
    after: str | None = None


@pages.page("/usage-inputs/add", Right.OPERATE)
def ask_to_add(params: Annotated[AddParams, Query()], visit: Visit = VISIT) -> Response:
    """The form of a new usage input."""
    return visit.page("usage_input_add.html", values=params.model_dump(), refused=None)


@pages.act("/usage-inputs/add", Right.OPERATE)
def add(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Add one usage input."""
    given: dict[str, Any] = {name: text_of(form, name) for name in ADDED}
    needed = {name: given[name] or "" for name in ADDED[:4]}

    def do() -> Response:
        added = add_usage_input(
            visit.app, actor=visit.actor, reason=text_of(form, "reason"), **{**given, **needed}
        )
        return visit.go(_path(added["usage_input_id"]), done="usage-input-added")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        values = {**given, "reason": form.get("reason")}
        status = HTTPStatus.UNPROCESSABLE_ENTITY.value
        return visit.page("usage_input_add.html", status=status, values=values, refused=refused)


@pages.page("/usage-inputs/{usage_input_id:path}/edit", Right.OPERATE)
def ask_to_edit(usage_input_id: str, visit: Visit = VISIT) -> Response:
    """The form of what may be changed of a usage input."""
    shown = show_usage_input(visit.app, usage_input_id, actor=visit.actor)
    return _editing(visit, shown, {name: shown[name] for name in EDITED})


@pages.act("/usage-inputs/{usage_input_id:path}/edit", Right.OPERATE)
def edit(usage_input_id: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Change a usage input as it was shown; where somebody else has changed it since, both are shown."""
    typed = {name: str(form.get(name, "")).strip() for name in EDITED}
    seen, reason = [text_of(form, "expected") or ""], text_of(form, "reason")

    def do() -> Response:
        edit_usage_input(visit.app, usage_input_id, seen=seen, actor=visit.actor, reason=reason, **typed)
        return visit.go(_path(usage_input_id), done="usage-input-edited")

    try:
        return visit.once(form, do)
    except (Forbidden, NotFound):
        raise
    except Refused as refused:
        shown = show_usage_input(visit.app, usage_input_id, actor=visit.actor)
        return _editing(visit, shown, {**typed, "reason": reason}, refused)


def _editing(visit: Visit, shown: View, values: View, refused: Refused | None = None) -> Response:
    changed = [
        (name, shown[name], values[name])
        for name in EDITED
        if isinstance(refused, Changed) and (shown[name] or "") != values[name]
    ]
    return visit.page(
        "usage_input_edit.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        input=shown,
        values=values,
        refused=refused,
        changed=changed,
        expected=version_of(shown),
    )


@pages.page("/usage-inputs/{usage_input_id:path}/history")
def history(usage_input_id: str, params: Annotated[HistoryParams, Query()], visit: Visit = VISIT) -> Response:
    """What became of a usage input in every run, page by page."""
    page = usage_input_history(
        visit.app, usage_input_id, limit=params.limit, after=params.after, actor=visit.actor
    )
    return visit.page(
        "usage_input_history.html", usage_input_id=usage_input_id, history=page.items, pager=visit.pager(page)
    )


def _add_act(name: str, act: Act) -> None:
    @pages.page(f"/usage-inputs/{{usage_input_id:path}}/{name}", Right.OPERATE)
    def ask(usage_input_id: str, visit: Visit = VISIT) -> Response:
        shown = show_usage_input(visit.app, usage_input_id, actor=visit.actor)
        return visit.confirmation(_asked(act, shown))

    @pages.act(f"/usage-inputs/{{usage_input_id:path}}/{name}", Right.OPERATE, runs_here=True)
    def do(usage_input_id: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
        def acted() -> Response:
            _check_shown(visit, usage_input_id, text_of(form, "expected"))
            return _done(visit, name, act, usage_input_id, text_of(form, "reason"))

        try:
            return visit.once(form, acted)
        except (Forbidden, NotFound):
            raise
        except Refused as refused:
            shown = show_usage_input(visit.app, usage_input_id, actor=visit.actor)
            return visit.confirmation(_asked(act, shown), refused=refused, values=dict(form.items()))


for _name, _act in ACTS.items():
    _add_act(_name, _act)


def _check_shown(visit: Visit, usage_input_id: str, expected: str | None) -> None:
    shown = show_usage_input(visit.app, usage_input_id, actor=visit.actor)
    check_seen(None if expected is None else [expected], shown, f"{usage_input_id} was changed")


def _done(visit: Visit, name: str, act: Act, usage_input_id: str, reason: str | None) -> Response:
    service = BillingService(visit.app, visit.actor)
    (outcome,) = act.call(service, [usage_input_id], True, reason=reason)["outcomes"]
    if outcome["outcome"] != "ok":
        return visit.go(_path(usage_input_id), done="usage-input-not-done")
    is_there = name != "delete"
    return visit.go(_path(usage_input_id) if is_there else "/usage-inputs", done=f"usage-input-{name}")


def _asked(act: Act, shown: View) -> Confirmation:
    an_id = shown["usage_input_id"]
    return Confirmation(
        f"{act.of_one} {an_id}?",
        act.of_one,
        _path(an_id),
        facts=[
            ("Asset line item", shown["asset_line_item_id"]),
            ("Status", shown["status"]),
            ("Quantity", f"{shown['quantity']} {shown['product_uom']}"),
            ("Rated Amount", money(shown["rated_amount"], shown["currency"])),
            ("(Draft) Rated Amount", money(shown["draft_rated_amount"], shown["currency"])),
            *act.facts,
        ],
        warning=act.warning_of_one or act.warning,
        hidden={"expected": version_of(shown)},
        danger=act.danger,
        why_not=(why := _why_not(act, shown["status"])) and f"{why[:1].upper()}{why[1:]}.",
    )


@pages.page("/usage-inputs/{usage_input_id:path}")
def usage_input(usage_input_id: str, params: Annotated[Params, Query()], visit: Visit = VISIT) -> Response:
    """One usage input. Its history comes after the rest: it looks through many runs."""
    if visit.request.headers.get(LIVE) == "region_history":
        page = usage_input_history(visit.app, usage_input_id, actor=visit.actor)
        return visit.page("usage_input.html", input={"usage_input_id": usage_input_id}, history=page)
    shown = explain_usage_input(
        visit.app, usage_input_id, with_history=False, with_owner=True, actor=visit.actor
    )
    return visit.page(
        "usage_input.html",
        input=shown,
        history=None,
        remedy=in_console(remedy(shown["code"])) if shown["code"] else None,
        acts=[(name, act, _why_not(act, shown["status"])) for name, act in ACTS.items()],
        line=line_words,
        price_id=price_id,
        edit_why_not="a Rated input is not edited: unrate it first" if shown["status"] == "Rated" else None,
    )


def line_words(key: str) -> str:
    """A line of an amount in words, by its key ("tier:2:usage")."""
    *tier, kind = key.split(":")
    words = LINES.get(kind, kind)
    return f"{words}, tier {tier[1]}" if len(tier) == 2 else words


def _why_not(act: Act, status: str) -> str | None:
    if InputStatus(status) in act.takes:
        return None
    return f"its status is {status}; this takes {' or '.join(act.takes)}"


def _path(usage_input_id: str) -> str:
    return f"/usage-inputs/{quote(usage_input_id, safe='')}"
