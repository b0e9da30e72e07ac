"""The workers there are: who beats, with which version, and at what."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Query
from starlette.responses import Response

from batchwright.console.metrics import is_loopback
from batchwright.console.pages.visit import VISIT, ListParams, Pages, Visit
from batchwright.operations.workers import workers_page

pages = Pages()


@pages.page("/workers", shared=True)
def workers(params: Annotated[ListParams, Query()], visit: Visit = VISIT) -> Response:
    """The workers of the last day, newest first; follows their beats."""
    page = workers_page(visit.app, limit=params.limit, after=params.after, actor=visit.actor)
    there = sum(not item["silent"] for item in page.items)
    metrics_open = is_loopback(urlsplit(visit.app.settings.base_url).hostname or "")
    return visit.page(
        "workers.html", page=page, pager=visit.pager(page), there=there, metrics_open=metrics_open
    )
