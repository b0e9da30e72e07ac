"""The console below a path of a server that has other things, too: where `base_url` has a path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from batchwright.console.pages.session import COOKIE
from batchwright.console.prefix import prefixed
from batchwright.console.server import make_asgi
from batchwright.operations.access.users import add_user, set_password
from batchwright.operations.app import Application
from tests.console.forms import token_in
from tests.support.application import ACTOR

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

JANE, PASSWORD = "jane@example.com", "seven green bottles"
BELOW = "/tools/billing"


class TakesOff:
    """A proxy that hands on the path without what it stands below."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["path"].removeprefix(BELOW)
        await self._app(scope, receive, send)


def mounted(app: ASGIApp) -> ASGIApp:
    """A server that mounts it beside others; the path stays whole, and `root_path` says how much is not ours."""
    others = Route("/", lambda request: PlainTextResponse("something else"))
    return Starlette(routes=[others, Mount(BELOW, app=app)])


def handed_on(app: ASGIApp) -> ASGIApp:
    """A proxy that hands on the whole path."""
    return app


PROXIES: dict[str, Callable[[ASGIApp], ASGIApp]] = {
    "mounts it": mounted,
    "takes the path off": TakesOff,
    "hands the path on": handed_on,
}


@pytest.fixture(params=zip(PROXIES, ("https", "http", "https"), strict=True), ids=" ".join)
def web(
    request: pytest.FixtureRequest, app: Application, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """A browser of `app` behind a proxy."""
    proxy, scheme = request.param
    base_url = f"{scheme}://billing.example.com{BELOW}"
    monkeypatch.setattr(app, "settings", app.settings.model_copy(update={"base_url": base_url}))
    add_user(app, "root@example.com", "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    add_user(app, JANE, "operator", actor=ACTOR)
    set_password(app, JANE, PASSWORD, actor=ACTOR)
    asgi = PROXIES[proxy](make_asgi(app, host="127.0.0.1", worker_expected=False))
    with TestClient(asgi, base_url=f"{scheme}://billing.example.com", follow_redirects=False) as client:
        yield client


@on_sqlite
def test_people_sign_in_and_go_about_below_the_path(web: TestClient) -> None:
    is_secure = web.base_url.scheme == "https"
    answer = web.get(f"{BELOW}/preferences?done=browser")
    assert answer.headers["location"] == f"{BELOW}/sign-in?next=%2Fpreferences%3Fdone%3Dbrowser"
    form = web.get(answer.headers["location"])
    (sent_to,) = re.findall(r'<form method="post" action="([^"]*)"', form.text)
    assert sent_to == f"{BELOW}/sign-in"
    fields = {"email": JANE, "password": PASSWORD, "csrf_token": token_in(form.text)}
    signed_in = web.post(sent_to, data=fields | {"next": "/preferences?done=browser"})
    assert (signed_in.status_code, signed_in.headers["location"]) == (
        303,
        f"{BELOW}/preferences?done=browser",
    )
    name = f"__Secure-{COOKIE}" if is_secure else COOKIE
    assert signed_in.headers["set-cookie"].startswith(f"{name}=")
    flags = {"HttpOnly", f"Path={BELOW}", "SameSite=lax", *(["Secure"] if is_secure else [])}
    assert set(signed_in.headers["set-cookie"].split("; ")[1:]) == flags

    page = web.get(signed_in.headers["location"])
    assert page.status_code == 200
    kept = web.post(
        f"{BELOW}/preferences/browser", data={"csrf_token": token_in(page.text), "zone": "Europe/Berlin"}
    )
    assert (kept.status_code, kept.headers["location"]) == (303, f"{BELOW}/preferences?done=browser")
    assert {part for line in kept.headers.get_list("set-cookie") for part in line.split("; ")} >= {
        f"Path={BELOW}"
    }
    assert "Path=/;" not in str(kept.headers)

    left = web.post(f"{BELOW}/sign-out", data={"csrf_token": token_in(page.text)})
    assert (left.status_code, left.headers["location"]) == (303, f"{BELOW}/sign-in")
    assert web.get(f"{BELOW}/preferences").status_code == 303


@on_sqlite
def test_addresses_on_a_page_files_api_and_probes_are_below_the_path(web: TestClient) -> None:
    page = web.get(f"{BELOW}/sign-in").text
    addresses = re.findall(r'\s(?:href|src|action)="(/[^"]*)"', page)
    assert len(addresses) >= 5
    for there in addresses:
        assert there.startswith(f"{BELOW}/"), there
        if "/static/" in there:
            assert web.get(there).status_code == 200, there

    assert web.get(f"{BELOW}/healthz").text == "ok\n"
    assert web.get(f"{BELOW}/api/v1/me").status_code == 401


def test_what_people_wrote_is_no_address_of_ours() -> None:
    page = (
        '<p title=" href=&#34;/x"> href=&#34;/x</p><a href="//x"><a href="/x"><input value="/x" data-at="/x">'
    )
    assert prefixed(page, "/p") == page.replace('<a href="/x">', '<a href="/p/x">')
    assert prefixed(page, "") == page
