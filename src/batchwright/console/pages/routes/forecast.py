"""The forecast: what the drafts come to beside what is rated, one currency at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.streams import CSV, file_answer
from batchwright.console.pages.charts import chart_of
from batchwright.console.pages.visit import VISIT, Asked, Pages, Visit
from batchwright.operations.billing import forecast as operation
from batchwright.operations.views import View

pages = Pages()
MONTH: Final = r"\d{4}-(0[1-9]|1[0-2])"
NAMES: Final = {"month": ("month",), "customer": ("customer_id", "customer_name"), "product": ("product",)}
AMOUNTS: Final = (
    "currency",
    "draft_rated_quantity",
    "draft_fee_amount",
    "actual_quantity",
    "fee_amount",
)
UNKNOWN: Final = "none"
"""Of the assets whose currency is not known yet."""


class FileAsked(Asked):
    """What there is a line for."""

    by: Literal["month", "customer", "product"] = "month"


class ForecastAsked(FileAsked):
    """The same, of one currency, and which months, both included."""

    currency: str | None = None
    since: str | None = Field(None, alias="from", pattern=f"^{MONTH}$")
    until: str | None = Field(None, alias="to", pattern=f"^{MONTH}$")


@pages.page("/forecast")
def forecast(asked: Annotated[ForecastAsked, Query()], visit: Visit = VISIT) -> Response:
    """Draft beside rated by month, customer or product."""
    lines = operation.forecast(visit.app, asked.by, actor=visit.actor)
    currencies = currencies_of(lines)
    currency = asked.currency or (currencies[0] if currencies else None)
    shown = [line for line in lines if (line["currency"] or UNKNOWN) == currency]
    if asked.by == "month":
        shown = [line for line in shown if (asked.since or "") <= line["month"] <= (asked.until or "9999-12")]
    return visit.page(
        "forecast.html",
        asked=asked,
        currency=currency,
        currencies=currencies,
        shown=shown,
        chart=chart_of(shown, NAMES[asked.by][-1]),
        is_empty=not lines,
    )


@pages.page("/forecast.csv")
def forecast_csv(asked: Annotated[FileAsked, Query()], visit: Visit = VISIT) -> Response:
    """All lines in all currencies as a file."""
    lines = operation.forecast(visit.app, asked.by, actor=visit.actor)
    return file_answer(visit.call(), lines, f"forecast-by-{asked.by}.csv", CSV, (*NAMES[asked.by], *AMOUNTS))


def currencies_of(lines: Sequence[View]) -> list[str]:
    """The currencies of the lines, that of most of them first."""
    counted = Counter(line["currency"] or UNKNOWN for line in lines)
    return sorted(counted, key=lambda one: (one == UNKNOWN, -counted[one], one))
