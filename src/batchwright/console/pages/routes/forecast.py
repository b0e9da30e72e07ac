"""The forecast: what the drafts come to beside what is rated, one currency at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any, ClassVar, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.streams import CSV, file_answer
from batchwright.console.pages.charts import chart_of
from batchwright.console.pages.visit import VISIT, Pages, Params, Visit
from batchwright.engine.errors import Refused
from batchwright.operations.billing import forecast as operation
from batchwright.operations.views import View, instant

pages = Pages()
AMOUNTS: Final = (
    "currency",
    "draft_rated_quantity",
    "draft_fee_amount",
    "actual_quantity",
    "fee_amount",
)
UNKNOWN: Final = "none"
"""Of the assets whose currency is not known yet."""
DRAFTED: Final = ("Loaded", "Error")
"""Statuses of the inputs that *Forecast these* takes, as a run over everything does."""


class ForecastParams(Params):
    """What there is a line for, in one currency; and of what: of a customer, a product, months, both included."""

    months: ClassVar[Sequence[str]] = ("from", "to")

    by: Literal["month", "customer", "product"] = "month"
    currency: str | None = None
    customer_id: str | None = None
    product: str | None = None
    since: str | None = Field(None, alias="from")
    until: str | None = Field(None, alias="to")

    def only(self) -> dict[str, Any]:
        """What is left of it, as the operation takes it."""
        return self.model_dump(include={"customer_id", "product", "since", "until"})

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered away."""
        return any(self.only().values())


@pages.page("/forecast", shared=True)
def forecast(params: Annotated[ForecastParams, Query()], visit: Visit = VISIT) -> Response:
    """Draft beside rated by month, customer or product."""
    refused, found = None, operation.Forecast([])
    try:
        found = operation.look_at_forecast(visit.app, params.by, actor=visit.actor, **params.only())
    except Refused as refusal:
        refused = refusal
    currencies = currencies_of(found.lines)
    currency = params.currency or (currencies[0] if currencies else None)
    shown = [line for line in found.lines if (line["currency"] or UNKNOWN) == currency]
    return visit.page(
        "forecast.html",
        status=200 if refused is None else 422,
        params=params,
        currency=currency,
        currencies=currencies,
        shown=shown,
        found=found,
        chart=chart_of(shown, operation.NAMES[params.by][-1]),
        these=[] if refused or not params.is_set else _these(params),
        drafted=DRAFTED,
        refused=refused,
    )


@pages.page("/forecast.csv")
def forecast_csv(params: Annotated[ForecastParams, Query()], visit: Visit = VISIT) -> Response:
    """The same lines as a file: those of one currency where one is asked for, else of all."""
    found = operation.look_at_forecast(visit.app, params.by, actor=visit.actor, **params.only())
    shown = [line for line in found.lines if params.currency in (None, line["currency"] or UNKNOWN)]
    columns = (*operation.NAMES[params.by], *AMOUNTS)
    return file_answer(visit.call(), shown, f"forecast-by-{params.by}.csv", CSV, columns, _left_out(found))


def _left_out(found: operation.Forecast) -> str:
    """What nobody has added up yet, at the end of the file."""
    since = f" since {instant(found.changed_since)}" if found.changed_since else ""
    changed = f"up to {found.changed_assets} assets have changed{since} and are counted as they were before"
    missing = f"up to {found.missing_assets} assets are not counted yet"
    return "; ".join([changed] * bool(found.changed_assets) + [missing] * bool(found.missing_assets))


def _these(params: ForecastParams) -> list[tuple[str, str]]:
    """The usage inputs behind the lines, as the filter of their list has it."""
    first = f"{params.since}-01" if params.since else None
    after = None
    if params.until:
        last = date.fromisoformat(f"{params.until}-01")
        after = None if params.until == "9999-12" else (last + timedelta(days=31)).replace(day=1).isoformat()
    fields = [
        ("customer_id", params.customer_id),
        ("product", params.product),
        ("from", first),
        ("before", after),
    ]
    return [(name, value) for name, value in fields if value]


def currencies_of(lines: Sequence[View]) -> list[str]:
    """The currencies of the lines, that of most of them first."""
    counted = Counter(line["currency"] or UNKNOWN for line in lines)
    return sorted(counted, key=lambda one: (one == UNKNOWN, -counted[one], one))
