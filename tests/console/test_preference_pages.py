"""The page on which people choose their mail, their zone and their keys."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from batchwright.operations.access.users import show_user
from batchwright.operations.app import Application
from tests.console.conftest import Visit
from tests.support.application import ACTOR

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

VIEWER = "viewer@example.com"


def test_people_choose_their_own_mail(app: Application, web: TestClient, visit: Visit) -> None:
    token = visit("viewer")
    assert 'value="always" checked' in web.get("/preferences").text
    answer = web.post("/preferences", data={"csrf_token": token, "mail": "errors"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/preferences?done=own_mail")
    assert show_user(app, VIEWER, actor=ACTOR)["mail"] == "errors"
    refused = web.post("/preferences", data={"csrf_token": token, "mail": "weekly"})
    assert (refused.status_code, 'href="#mail"' in refused.text) == (422, True)


def test_zone_and_keys_are_kept_by_the_browser_without_a_script(web: TestClient, visit: Visit) -> None:
    token = visit("viewer")
    form = {"csrf_token": token, "zone": "Europe/Berlin"}
    assert web.post("/preferences/browser", data=form, follow_redirects=False).status_code == 303
    page = web.get("/preferences").text
    assert '<option value="Europe/Berlin" selected>' in page
    assert 'name="keys" value="true">' in page
    assert 'data-zone="Europe/Berlin"' in page
    web.post("/preferences/browser", data=form | {"keys": "true"})
    assert 'name="keys" value="true" checked>' in web.get("/preferences").text
    refused = web.post("/preferences/browser", data=form | {"zone": "../etc/passwd; Secure"})
    assert (refused.status_code, 'href="#zone"' in refused.text) == (422, True)
