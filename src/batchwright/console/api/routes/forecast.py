"""The forecast, and data recalculation: what it offers, and the charges that it left."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any, Final, Literal

from anyio import move_on_after, sleep, to_thread
from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api import door
from batchwright.console.api.door import CALL, Call, Doors, PageQuery, answer, page_answer
from batchwright.console.api.models.forecast import AccountCharge, Forecast, Offer
from batchwright.console.api.models.shapes import Page
from batchwright.console.waiting import MOST_SECONDS
from batchwright.operations import views
from batchwright.operations.access.permissions import Right
from batchwright.operations.billing import forecast as operation
from batchwright.operations.billing.recalculation import page_of_account_charges, recalculation_offer

doors = Doors("forecast-and-recalculation")

SECONDS_BETWEEN_LOOKS: Final = 1.0
"""While somebody waits for a worker to add up what has changed: it does so each second."""


class ForecastParams(door.Query):
    """What there is a line for, and of what: of a customer, a product, months from the first to the last."""

    by: Literal["month", "customer", "product"] = "month"
    customer_id: str | None = None
    product: str | None = None
    since: str | None = Field(None, alias="from", description="A month, YYYY-MM")
    until: str | None = Field(None, alias="to", description="A month, YYYY-MM, included")
    wait: int | None = Field(
        None,
        ge=1,
        le=MOST_SECONDS,
        description="Answer when a worker has added up all that has changed, or after so many seconds.",
    )


class OfferParams(door.Query):
    """Which customer."""

    customer_id: str | None = None


class ChargesParams(PageQuery):
    """Whose charges."""

    customer_id: str | None = None


@doors.door(
    "GET",
    "/forecast",
    operation.forecast,
    Right.LOOK,
    answers={200: Forecast},
    heavy=True,
)
def forecast(
    params: Annotated[ForecastParams, Query()], call: Call = CALL
) -> Response | Coroutine[Any, Any, Response]:
    """Draft amounts beside rated ones, at once or when all of them are added up."""
    found = _look(params, call)
    return _told(found, call) if found.is_whole or params.wait is None else _when_whole(params, call)


async def _when_whole(params: ForecastParams, call: Call) -> Response:
    with move_on_after(params.wait):
        while not await to_thread.run_sync(operation.is_added_up, call.app):
            await sleep(SECONDS_BETWEEN_LOOKS)
    found = await to_thread.run_sync(_look, params, call, limiter=call.traffic.heavy_lane)
    return _told(found, call)


def _look(params: ForecastParams, call: Call) -> operation.Forecast:
    return operation.look_at_forecast(call.app, actor=call.actor, **params.model_dump(exclude={"wait"}))


def _told(found: operation.Forecast, call: Call) -> Response:
    told = found._asdict() | {"changed_since": views.instant(found.changed_since)}
    return answer({"items": told.pop("lines"), "next": None, **told}, request=call.request)


@doors.door("GET", "/recalculation/offer", recalculation_offer, Right.BILLING, answers={200: Offer})
def offer(params: Annotated[OfferParams, Query()], call: Call = CALL) -> Response:
    """What can be recalculated today."""
    return answer(recalculation_offer(call.app, params.customer_id, actor=call.actor), request=call.request)


@doors.door(
    "GET",
    "/account-charges",
    page_of_account_charges,
    Right.LOOK,
    answers={200: Page[AccountCharge]},
)
def account_charges(params: Annotated[ChargesParams, Query()], call: Call = CALL) -> Response:
    """What custom line items came to."""
    return page_answer(call, page_of_account_charges(call.app, actor=call.actor, **params.model_dump()))
