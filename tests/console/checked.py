"""A client that holds every answer to what its door declares: its status, and the model of its body."""

from __future__ import annotations

from typing import Any

from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from batchwright.console.api.application import ROUTES


class CheckedClient(TestClient):
    """Calls doors, and fails where an answer has another status, a name too many, or a value of another kind."""

    def request(self, method: str, url: Any, **values: Any) -> Any:
        """The answer."""
        response = super().request(method, url, **values)
        route = _route(method, str(url).partition("?")[0])
        if route is not None:
            _check(route, response)
        return response


def read(client: TestClient, headers: dict[str, str], where: str) -> list[object]:
    """All items of a listing, page by page."""
    items: list[object] = []
    while where:
        page = client.get(where, headers=headers)
        items += page.json()["items"]
        where = page.links["next"]["url"] if page.links else ""
    return items


def _route(method: str, path: str) -> APIRoute | None:
    routes = [route for noun in ROUTES for route in noun.doors.routes if isinstance(route, APIRoute)]
    return next((one for one in routes if method in (one.methods or ()) and one.path_regex.match(path)), None)


def _check(route: APIRoute, response: Any) -> None:
    assert response.status_code in route.responses, (route.path, response.status_code, response.text)
    model = route.responses[response.status_code].get("model")
    if model is not None:
        adapter = TypeAdapter(model)
        held = adapter.validate_python(response.json())
        assert adapter.dump_python(held, mode="json", exclude_unset=True) == response.json(), route.path
