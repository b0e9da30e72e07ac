"""Cron expressions, in words."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors, Query, answer
from batchwright.console.api.models.schedules import Explanation
from batchwright.operations.access.permissions import Right
from batchwright.operations.schedules.cron import explain

doors = Doors("cron")


class Expression(Query):
    """What to explain."""

    expression: str = Field(examples=["0 0 22 ? * 6L"])


@doors.door("GET", "/cron/explain", explain, Right.LOOK, answers={200: Explanation}, name="explain_cron")
def explanation(query: Annotated[Expression, InQuery()], call: Call = CALL) -> Response:
    """Say in words what a Salesforce or Quartz expression means."""
    return answer(explain(query.expression), request=call.request)
