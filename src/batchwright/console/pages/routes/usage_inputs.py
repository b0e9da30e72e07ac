"""The list of usage inputs: filter, sums, selection, and what is done to what was selected."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query
from markupsafe import Markup
from pydantic import Field
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.billing.records.inputs import CODES, InputStatus
from batchwright.console.api.streams import CSV, file_answer
from batchwright.console.pages.formats import money, plural
from batchwright.console.pages.input_acts import ACTS, Act
from batchwright.console.pages.launching import PREFIX
from batchwright.console.pages.render import LIVE
from batchwright.console.pages.visit import (
    FORM,
    LENGTHS,
    VISIT,
    Confirmation,
    ListParams,
    Pages,
    Params,
    Visit,
    address,
    text_of,
)
from batchwright.engine.errors import NotFound, Refused
from batchwright.engine.submit import SYNC_LIMIT
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.billing.selections import (
    select_usage_inputs,
    show_selection,
    sum_usage_inputs,
)
from batchwright.operations.billing.service import BillingService
from batchwright.operations.billing.usage_inputs import IN_FILES, list_usage_inputs, usage_inputs_page
from batchwright.operations.paging import PART_SECONDS
from batchwright.operations.views import View

pages = Pages()
FILTER: Final = ("status", "code", "customer_id", "asset_line_item_id", "product", "from", "before")
LENGTH: Final = 50
"""Rows of a page of which no length was given."""
UNASKED_SECONDS: Final = 0.03
"""So long, about, inputs are counted unasked: some thousand."""
TYPED_ABOVE: Final = 1_000
"""Of more inputs than this, an act that takes something away wants their number typed."""

Pairs = list[tuple[str, str]]


class FilterParams(Params):
    """Which usage inputs."""

    status: str | None = None
    code: str | None = None
    customer_id: str | None = None
    asset_line_item_id: str | None = None
    product: str | None = None
    since: str | None = Field(None, alias="from")
    before: str | None = None

    def pairs(self) -> Pairs:
        """The filter as names and values, in the order of the address."""
        given = self.model_dump(by_alias=True, exclude_none=True)
        return [(name, given[name]) for name in FILTER if name in given]


class InputsParams(FilterParams, ListParams):
    """Which page of them; ``sums`` has all counted and summed up, however many, ``sums_after`` those parts."""

    sums: bool = False
    sums_after: str | None = None


@pages.page("/usage-inputs")
def usage_inputs(params: Annotated[InputsParams, Query()], visit: Visit = VISIT) -> Response:
    """The list view."""
    pairs = params.pairs()
    try:
        if visit.request.headers.get(LIVE) == "region_sums":
            return _list(visit, params, summary=_summary(visit, pairs, params))
        summary = _summary(visit, pairs, params) if params.sums else None
        page = usage_inputs_page(
            visit.app, pairs, limit=params.limit, after=params.after, with_owners=True, actor=visit.actor
        )
    except Refused as refused:
        return _list(visit, params, HTTPStatus.UNPROCESSABLE_ENTITY.value, refused=refused)
    return _list(visit, params, page=page, pager=visit.pager(page), summary=summary)


@pages.page("/usage-inputs.csv")
def usage_inputs_csv(params: Annotated[FilterParams, Query()], visit: Visit = VISIT) -> Response:
    """All that match, as a file."""
    rows = list_usage_inputs(visit.app, pairs=params.pairs(), with_owners=True, actor=visit.actor)
    return file_answer(visit.call(), rows, "usage-inputs.csv", CSV, IN_FILES)


def _list(visit: Visit, params: InputsParams, status: int = 200, **shown: Any) -> Response:
    nothing = {"page": None, "pager": None, "summary": None, "refused": None}
    return visit.page(
        "usage_inputs.html",
        status=status,
        params=params,
        pairs=params.pairs(),
        statuses=list(map(str, InputStatus)),
        codes=CODES,
        lengths=[str(length) for length in LENGTHS if length != LENGTH],
        acts=ACTS,
        sums_link=visit.link(sums="true"),
        file=address("/usage-inputs.csv", **dict(params.pairs())),
        **nothing | shown,
    )


def _summary(visit: Visit, pairs: Pairs, params: InputsParams) -> View:
    """Count and sums, part by part where they are asked for; else of the first few thousand inputs."""
    seconds = PART_SECONDS if params.sums else UNASKED_SECONDS
    summary = sum_usage_inputs(visit.app, pairs, after=params.sums_after, seconds=seconds, actor=visit.actor)
    following = summary["next_after"] if params.sums else None
    return {**summary, "on": following and visit.link(sums="true", sums_after=following, after=params.after)}


@pages.act("/usage-inputs/selections", Right.OPERATE)
def select(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Store what was chosen; the page that follows asks before the act."""
    act = text_of(form, "act") or ""
    _act_of(act)
    pairs = [
        (name, text.strip()) for name in FILTER for one in form.getlist(name) if (text := str(one)).strip()
    ]
    ids = None if form.get("all") else [str(one) for one in form.getlist("usage_input_id")]
    if ids == []:
        raise Refused(
            "no usage input was chosen",
            field="usage_input_id",
            remedy="Tick some in the list, or all that match",
        )
    made = select_usage_inputs(visit.app, pairs, usage_input_ids=ids, actor=visit.actor)
    known = {name: value for name, value in pairs if len(form.getlist(name)) == 1}
    return visit.go(f"/usage-inputs/selections/{made['selection_id']}/{act}", **known)


@pages.page("/usage-inputs/selections/{selection_id}/{act}", Right.OPERATE)
def ask(
    selection_id: str, act: str, params: Annotated[FilterParams, Query()], visit: Visit = VISIT
) -> Response:
    """What would be done to what was selected, in numbers and money."""
    selection = show_selection(visit.app, selection_id, actor=visit.actor)
    return visit.confirmation(_confirmation(_act_of(act), selection, params.pairs()))


@pages.act("/usage-inputs/selections/{selection_id}/{act}", Right.OPERATE, runs_here=True)
def do(selection_id: str, act: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Do it, now or in the background; the run tells what became of each."""
    told = _act_of(act)
    selection = show_selection(visit.app, selection_id, actor=visit.actor)
    pairs = [(name, value) for name in FILTER if (value := text_of(form, f"filter_{name}")) is not None]
    confirmation = _confirmation(told, selection, pairs)
    try:
        _check_typed(confirmation, form)
        return visit.once(form, lambda: visit.go(f"/runs/{_run(visit, told, selection, form)['run_id']}"))
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(confirmation, refused=refused, values=dict(form.items()))


def _run(visit: Visit, act: Act, selection: View, form: FormData) -> View:
    now = text_of(form, "when") == "now" and selection["count"] <= SYNC_LIMIT
    later = False if act.at_once_if_few and selection["count"] <= SYNC_LIMIT else None
    service = BillingService(visit.app, visit.actor)
    return act.call(
        service,
        None,
        True if now else later,
        selection_id=selection["selection_id"],
        reason=text_of(form, "reason"),
    )


def _act_of(name: str) -> Act:
    if name not in ACTS:
        raise NotFound(
            f"usage inputs have no act {name!r}", field="act", remedy=f"There are: {', '.join(ACTS)}"
        )
    return ACTS[name]


def _confirmation(act: Act, selection: View, pairs: Pairs) -> Confirmation:
    count = selection["count"]
    wide = act.danger and count > TYPED_ABOVE
    return Confirmation(
        f"{act.words} {plural(count, 'usage input')}?",
        f"{act.words} {plural(count, 'usage input')}",
        address("/usage-inputs", **dict(pairs)),
        facts=_facts(act, selection),
        warning=act.warning,
        hidden={f"filter_{name}": value for name, value in pairs},
        typed=str(count) if wide else None,
        danger=act.danger,
        body="selection_when.html" if count <= SYNC_LIMIT else "selection_later.html",
    )


def _facts(act: Act, selection: View) -> list[tuple[str, Any]]:
    by_status = {status: count for status, count in selection["by_status"].items() if count}
    left = sum(count for status, count in by_status.items() if status not in act.takes)
    facts: list[tuple[str, Any]] = [
        ("Selected", ", ".join(f"{count:,} {status}" for status, count in by_status.items()) or "nothing"),
        ("Asset line items", f"{selection['assets']:,}"),
        (
            "Skipped",
            f"{left:,}: {act.words} takes those that are {' or '.join(act.takes)}" if left else "none",
        ),
        ("Rated Amount", _amounts(selection["sums"]["rated_amount"])),
        ("(Draft) Rated Amount", _amounts(selection["sums"]["draft_rated_amount"])),
    ]
    if act.forecasts and selection["partial_assets"]:
        partly = plural(selection["partial_assets"], "asset line item")
        facts.append(
            ("Partly selected", f"of {partly}: inputs that are not chosen lose their place in the forecast")
        )
    facts += act.facts
    if act.job:
        there = address(
            f"/jobs/{act.job.name}/launch", **{f"{PREFIX}selection_id": selection["selection_id"]}
        )
        facts.append(("To see it first", Markup('<a href="{}">Dry run of these</a>').format(there)))
    return facts


def _amounts(of_currency: dict[str, str]) -> Markup | None:
    return Markup("<br>").join(money(amount, currency) for currency, amount in of_currency.items()) or None


def _check_typed(confirmation: Confirmation, form: FormData) -> None:
    typed = (text_of(form, "typed") or "").replace(",", "")
    if confirmation.typed is not None and typed != confirmation.typed:
        raise Refused(
            f"{typed!r} is not the number of the usage inputs",
            field="typed",
            remedy=f"Type {confirmation.typed}",
        )
