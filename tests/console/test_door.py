"""What all doors of the API have in common, shown by those of the runs."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.users import disable_user
from batchwright.operations.app import Application
from batchwright.operations.runs.submitting import submit_run
from tests.console.conftest import Caller
from tests.support.application import ACTOR

RUNS = "/api/v1/runs"
ONE = f"{RUNS}/JR-00000001"

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def test_without_a_token_nothing_is_told_whatever_is_asked(web: TestClient, caller: Caller) -> None:
    caller("viewer")
    answers = [
        web.get(ONE),
        web.get(ONE, headers={"Authorization": "Bearer bw_nothing"}),
        web.get(ONE, headers={"Authorization": "Basic dXNlcjpwYXNz"}),
        web.post(RUNS, json={"no": "job"}),
    ]
    assert [one.status_code for one in answers] == [401] * 4
    assert {one.headers["www-authenticate"] for one in answers} == {"Bearer"}
    assert len({(one.json()["detail"], one.json()["field"]) for one in answers}) == 1


def test_the_right_is_asked_for_before_the_parameters_are_read(
    web: TestClient, app: Application, caller: Caller
) -> None:
    refused = web.post(RUNS, json={"no": "job"}, headers=caller("viewer"))
    assert refused.status_code == 403
    entry = next(iter(list_audit(app)))
    assert (entry["act"], entry["actor"]) == ("permission.refused", "viewer@example.com")
    assert web.post(RUNS, json={"no": "job"}, headers=caller("operator")).status_code == 422


def test_a_user_who_is_disabled_is_let_in_no_more(web: TestClient, app: Application, caller: Caller) -> None:
    headers = caller("operator")
    assert web.get(ONE, headers=headers).status_code == 404
    disable_user(app, "operator@example.com", actor=ACTOR)
    assert web.get(ONE, headers=headers).status_code == 401


def test_a_run_is_submitted_as_its_caller_who_is_told_where_to_look(web: TestClient, caller: Caller) -> None:
    body = {"job": "draft-usage-rating", "reason": "July"}
    taken = web.post(RUNS, json=body, headers=caller("operator"))
    assert (taken.status_code, taken.headers["location"], taken.headers["retry-after"]) == (202, ONE, "2")
    run = taken.json()
    assert (run["actor"], run["trigger"], run["reason"]) == ("operator@example.com", "api", "July")
    assert web.get(taken.headers["location"], headers=caller("viewer")).json()["run_id"] == run["run_id"]


def test_who_has_seen_an_answer_is_sent_it_again_only_when_it_changed(
    web: TestClient, app: Application, caller: Caller
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    seen = web.get(ONE, headers=caller("viewer"))
    again = caller("viewer") | {"If-None-Match": f'"other", {seen.headers["etag"]}'}
    same = web.get(ONE, headers=again)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", seen.headers["etag"])
    strong = seen.headers["etag"].removeprefix("W/")
    for tags in ("*", strong, f'"a, b",{strong}'):
        assert web.get(ONE, headers=caller("viewer") | {"If-None-Match": tags}).status_code == 304
    for tags in ("", '"other"', strong.strip('"')):
        assert web.get(ONE, headers=caller("viewer") | {"If-None-Match": tags}).status_code == 200
    aborted = web.post(f"{ONE}/abort", json={}, headers=caller("operator"))
    assert aborted.status_code == 202
    assert web.get(ONE, headers=again).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "sent", "expected"),
    [
        ("GET", f"{ONE}?wiat=3", None, (422, "wiat")),
        ("GET", f"{RUNS}/JR-99999999", None, (404, "run_id")),
        ("GET", "/api/v1/nothing", None, (404, None)),
        ("DELETE", ONE, None, (405, None)),
        ("POST", RUNS, {"job": "nothing"}, (422, "job")),
        ("POST", RUNS, {"job": "draft-usage-rating", "mod": "sync"}, (422, "/mod")),
        ("POST", RUNS, {"job": 1}, (422, "/job")),
        ("POST", RUNS, {"job": "draft-usage-rating", "scope_size": 0}, (422, "scope_size")),
        ("POST", f"{ONE}/abort", {"reason": 1.5}, (400, None)),
    ],
)
def test_every_refusal_has_one_shape(
    web: TestClient, caller: Caller, method: str, path: str, sent: object, expected: tuple[int, str | None]
) -> None:
    refused = web.request(method, path, json=sent, headers=caller("operator"))
    document = refused.json()
    assert (refused.status_code, document["field"]) == expected
    assert refused.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "instance", "field", "remedy", "errors"} <= document.keys()


def test_a_body_that_is_not_said_to_be_json_is_refused(web: TestClient, caller: Caller) -> None:
    form = caller("operator") | {"Content-Type": "text/plain"}
    assert web.post(RUNS, content=b'{"job": "draft-usage-rating"}', headers=form).status_code == 415
