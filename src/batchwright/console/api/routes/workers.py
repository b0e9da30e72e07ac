"""The workers there are."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query as InQuery
from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors, PageQuery, page_answer
from batchwright.console.api.models.shapes import Page
from batchwright.console.api.models.workers import Worker
from batchwright.operations.access.permissions import Right
from batchwright.operations.workers import workers_page

doors = Doors("workers")


@doors.door("GET", "/workers", workers_page, Right.LOOK, answers={200: Page[Worker]})
def listing(query: Annotated[PageQuery, InQuery()], call: Call = CALL) -> Response:
    """The workers of the last day, newest first."""
    return page_answer(call, workers_page(call.app, limit=query.limit, after=query.after, actor=call.actor))
