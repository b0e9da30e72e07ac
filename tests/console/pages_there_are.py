"""The pages of the console, found by looking at them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastapi.routing import APIRoute

from batchwright.console.pages.application import ROUTES
from batchwright.operations.access.permissions import Right


def pages_there_are() -> Iterator[tuple[str, str, Right]]:
    """Method, path with a value in place of each name, and the right of each page and act that wants a visitor."""
    for module in ROUTES:
        for route in module.pages.routes:
            assert isinstance(route, APIRoute)
            if route.openapi_extra:
                (method,) = route.methods or {"none"}
                yield (
                    method,
                    re.sub(r"\{[^}]+\}", "JR-00000001", route.path),
                    Right(route.openapi_extra["x-role"]),
                )
