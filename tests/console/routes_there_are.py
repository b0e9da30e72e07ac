"""The doors of the API, found by looking at them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastapi.routing import APIRoute

from batchwright.console.api.application import ROUTES
from batchwright.console.api.routes import documentation


def routes_there_are() -> Iterator[tuple[str, APIRoute]]:
    """Every door as `METHOD /path` with names in braces, and its route."""
    for module in (*ROUTES, documentation):
        for route in module.doors.routes:
            assert isinstance(route, APIRoute)
            (method,) = route.methods or {"none"}
            yield f"{method} {re.sub(r':[a-z]+}', '}', route.path)}", route
