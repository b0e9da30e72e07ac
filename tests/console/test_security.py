"""What has happened to others over HTTP, and what keeps it from happening here (by the chapters of OWASP ASVS 5.0).

What the API could be open to, and what tries it; where no module is named a test below.

- Markup in a parameter or a path comes back as a page (Sidekiq, Resque), or is kept and shown by another (Spring Batch
  Admin): no answer is HTML but `/api/docs`, which has no data; a CSV file defuses formulas: `test_streams`.
- Numbers without bounds, 0, -1, 10^9, 10^30 (Sidekiq): every number there is; what takes too long: `test_traffic`.
- Names and values that are not known mean *all*: `test_door`, `test_billing_doors`, `test_run_doors`.
- An act without its check (Oban Web): every door by every role, `test_roles_over_http`.
- A cron expression that takes gigabytes to explain (Oban Web): `tests/engine/cron/test_grammar`.
- An act by GET (Airflow): no reading changes a row but the last use of a token, to the hour.
- Forms of foreign pages (Sidekiq, Flower), foreign origins (Prefect): a cookie opens nothing, so no browser acts for
  its user; no header of CORS; a preflight is refused; text/plain is 415: `test_door`.
- Protection that fails on a second server (Hangfire): keys hold across processes, `test_keyed`, `test_keyed_servers`.
- Who is disabled goes on (Airflow): disabled, gone, revoked, expired, lower: `test_roles_over_http`, `test_web_doors`.
- Redirects to elsewhere (Airflow), another Host: nothing redirects, addresses in answers are paths; `test_envelope`.
- A ping that calls what only this machine reaches, by redirect, a second look-up or a spelling of IPv6 (HyperDX):
  `tests/notifications/test_ping_address`; nothing of the answer but its status is told: `test_ping`; a test below.
- Answers in a cache (Airflow): `no-store` on each.
- Secrets in the audit trail, the log, errors (Airflow): tokens, the address of a ping.
- Ids with paths, formats, NUL, half surrogates, 10,000 characters (Airflow): all ids; `test_hostile`.
- Uploads by path and size (Spring Batch Admin), many parts (Starlette): `test_service_doors`, `test_envelope`; parts.
- Many ranges (Starlette): none is looked at, the answer is whole.
- Deep and large JSON, fractions, names that are there twice: `test_bodies`.
- Open by default (Hangfire), `X-Forwarded-…` of anybody: `tests/cli/test_serve`; the document: `test_document`.
- Headers missing on errors, a trace in them: `test_envelope`.
- Nobody knows who did what: `test_envelope` (the access log), `test_roles_over_http` (refusals), `test_streams`.

Sessions, passwords, forms and links in mail are the pages': `test_page_security`. Decided: a token from a new address
is not told apart: access log and audit trail have user and address of each call. HEAD is refused, as is each method
without a door.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from batchwright.config.logging import configure_logging
from batchwright.console.api.application import add_doors
from batchwright.console.api.document import document_of, operations_of
from batchwright.operations.app import Application
from tests.console.conftest import Caller
from tests.console.furniture import KNOWN, address_of
from tests.console.rows import rows

V1 = "/api/v1"
MARKUP: Final = '"><svg onload=alert(1)>'

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    web = FastAPI(title="Batchwright")
    add_doors(web)
    return document_of(web)


def readings(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and description of each operation that reads."""
    return ((path, operation) for method, path, operation in operations_of(document) if method == "GET")


def needed(operation: dict[str, Any]) -> dict[str, str]:
    """The parameters in the address without which there is no answer."""
    usual = {"status": "pending_invoice", "ready_by": "2023-12-31", "expression": "0 0 22 ? * 6L"}
    required = {one["name"] for one in operation.get("parameters", []) if one.get("required")}
    if "status" in required:
        required.add("ready_by")
    return {name: value for name, value in usual.items() if name in required}


def test_no_reading_changes_a_row(
    web: TestClient, app: Application, furnished: None, caller: Caller, document: dict[str, Any]
) -> None:
    headers = caller("administrator")
    before = rows(app)
    answered = []
    for path, operation in readings(document):
        answer = web.get(address_of(path, KNOWN), params=needed(operation), headers=headers)
        answered.append(answer.status_code)
    assert rows(app) == before
    assert answered.count(200) > len(answered) - 5, answered


@pytest.mark.parametrize(
    "path", ["runs", f"usage-inputs/{MARKUP}", f"runs?{MARKUP}={MARKUP}", f"jobs/{MARKUP}"]
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_markup_is_never_answered_as_a_page(web: TestClient, caller: Caller, method: str, path: str) -> None:
    answer = web.request(method, f"{V1}/{path}", headers=caller("viewer"))
    assert answer.headers["content-type"] in ("application/json", "application/problem+json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_no_answer_may_be_kept_on_the_way_or_by_who_asked(
    web: TestClient, furnished: None, caller: Caller
) -> None:
    headers = caller("viewer")
    one = web.get(f"{V1}/runs/JR-00000001", headers=headers)
    answers = [
        one,
        web.get(f"{V1}/runs/JR-00000001", headers=headers | {"If-None-Match": one.headers["etag"]}),
        web.get(f"{V1}/runs", headers=headers),
        web.get(f"{V1}/runs/JR-00000001/outcomes.csv", headers=headers),
        web.get(f"{V1}/runs/JR-9", headers=headers),
        web.get("/api/docs", headers=headers),
        web.get(f"{V1}/runs"),
    ]
    assert [answer.status_code for answer in answers] == [200, 304, 200, 200, 404, 200, 401]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def test_foreign_pages_are_let_in_nowhere(web: TestClient, caller: Caller) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answers = [
        web.options(f"{V1}/runs", headers=origin),
        web.get(f"{V1}/runs", headers=caller("viewer") | origin),
        web.post(f"{V1}/runs", json={}, headers=origin),
    ]
    assert [answer.status_code for answer in answers] == [405, 200, 401]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


def test_a_token_is_taken_from_its_header_alone(web: TestClient, caller: Caller) -> None:
    text = caller("viewer")["Authorization"].removeprefix("Bearer ")
    for name in ("token", "access_token", "Authorization"):
        assert web.get(f"{V1}/me?{name}={text}").status_code == 401
        assert web.get(f"{V1}/me", headers={"Cookie": f"{name}={text}"}).status_code == 401
    assert web.get(f"{V1}/me", headers={"X-Api-Key": text}).status_code == 401


def test_nothing_leads_to_another_place(web: TestClient, furnished: None, caller: Caller) -> None:
    headers = caller("operator")
    for path in (f"{V1}/runs/", f"{V1}//evil.example", f"{V1}/runs/JR-00000001/"):
        answer = web.get(path, headers=headers, follow_redirects=False)
        assert (answer.status_code, "location" in answer.headers) == (404, False), path
    made = web.post(f"{V1}/runs", json={"job": "draft-usage-rating"}, headers=headers | {"Host": "localhost"})
    assert made.headers["location"] == f"{V1}/runs/JR-00000002"
    page = web.get(f"{V1}/runs?limit=1", headers=headers)
    assert page.headers["link"].startswith(f"<{V1}/runs?")


def test_a_file_is_whole_however_many_ranges_of_it_are_asked_for(
    web: TestClient, furnished: None, caller: Caller
) -> None:
    ranges = ",".join(f"{place}-{place + 1}" for place in range(5_000))
    file = web.get(
        f"{V1}/runs/JR-00000001/outcomes.csv", headers=caller("viewer") | {"Range": f"bytes={ranges}"}
    )
    assert (file.status_code, file.text.splitlines()[0].split(",")[0]) == (200, "record_id")


def test_a_form_of_five_thousand_parts_is_refused(web: TestClient, caller: Caller) -> None:
    headers = caller("Billing Utilities Admin")
    files = [("files", (f"{number}.csv", b"")) for number in range(5_000)]
    refused = web.post(f"{V1}/imports", files=files, headers=headers)
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    fields = {f"field{number}": "" for number in range(5_000)}
    refused = web.post(f"{V1}/imports", files=files[:1], data=fields, headers=headers)
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    "given", ["..%2F..%2F..%2Fetc%2Fpasswd", "{}", "%25s%25n", "a%00b", "%ED%A0%80", "%FF", "*"]
)
def test_an_id_that_is_none_is_not_found(
    web: TestClient, caller: Caller, document: dict[str, Any], given: str
) -> None:
    headers = caller("administrator")
    for path in (path for path, _ in readings(document) if "{" in path):
        answer = web.get(address_of(path, dict.fromkeys(KNOWN, given)), headers=headers)
        assert answer.status_code == 404, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_number_has_bounds_everywhere(
    web: TestClient, furnished: None, caller: Caller, document: dict[str, Any]
) -> None:
    headers = caller("administrator") | {"If-Match": "*"}
    requests = 0
    for _, path, operation in operations_of(document):
        for one in operation.get("parameters", []):
            kinds = [one["schema"], *one["schema"].get("anyOf", [])]
            if one["in"] != "query" or not any(kind.get("type") == "integer" for kind in kinds):
                continue
            (whole,) = (kind for kind in kinds if kind.get("type") == "integer")
            for number in (0, -1, 10**9, 10**30, 1.5):
                if number != 1.5 and whole.get("minimum", 1) <= number < whole.get("maximum", 1):
                    continue  # as it is declared, for example a place in the audit trail
                answer = web.get(address_of(path, KNOWN), params={one["name"]: str(number)}, headers=headers)
                assert (answer.status_code, answer.json()["field"]) == (422, one["name"]), (path, number)
                requests += 1
    assert requests > 50
    schedule = {"name": "N", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating"}
    bodies = {
        "cap": schedule,
        "grace_seconds": schedule,
        "scope_size": schedule,
        "start_within_minutes": schedule,
    }
    for name, body in bodies.items():
        for number in (-1, 10**10, 10**17):
            refused = web.post(f"{V1}/schedules", json=body | {name: number}, headers=headers)
            assert (refused.status_code, refused.json()["field"]) == (422, name), number
        assert web.post(f"{V1}/schedules", json=body | {name: 10**30}, headers=headers).status_code == 400
    for number in (0, -1, 10**10):
        run = {"job": "draft-usage-rating", "scope_size": number}
        assert web.post(f"{V1}/runs", json=run, headers=headers).status_code == 422


def test_no_schedule_pings_what_only_this_machine_reaches(
    web: TestClient, furnished: None, caller: Caller
) -> None:
    headers = caller("administrator")
    numbers = ("127.0.0.1:8000", "169.254.169.254", "[::ffff:10.0.0.1]", "2130706433")
    for host in (*numbers, "localhost:9000", "hub.internal", "example.com:25"):
        body = {"name": "N", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating", "ping": f"http://{host}/"}
        made = web.post(f"{V1}/schedules", json=body, headers=headers)
        changed = web.patch(
            f"{V1}/schedules/Nightly", json={"ping": body["ping"]}, headers=headers | {"If-Match": "*"}
        )
        for refused in (made, changed):
            assert (refused.status_code, refused.json()["field"]) == (422, "ping"), host


def test_no_secret_is_told_by_the_log_the_audit_trail_an_error_or_the_mail(
    web: TestClient, app: Application, furnished: None, caller: Caller
) -> None:
    headers = caller("administrator")
    token = headers["Authorization"].removeprefix("Bearer ")
    ping = "8f4c6c1e-2d0b-4f55-9d59-secret"
    configure_logging(1)  # as `serve` does
    with capture_logs() as logged:
        made = web.post(f"{V1}/users/jane@example.com/tokens", json={"name": "n"}, headers=headers).json()
        refusals = [
            web.post(
                f"{V1}/schedules",
                json={
                    "name": "N",
                    "cron": "0 0 0 ? * * *",
                    "job": "draft-usage-rating",
                    "ping": f"https://hc.example/{ping}",
                },
                headers=headers,
            ),
            web.patch(
                f"{V1}/schedules/Nightly",
                json={"ping": f"https://hc.example/{ping}"},
                headers=headers | {"If-Match": "*"},
            ),
            web.get(f"{V1}/me?token={made['token']}", headers=headers),
            web.get(f"{V1}/runs", headers={"Authorization": f"Bearer {made['token']}x"}),
            web.get(f"{V1}/runs", headers={"Authorization": f"Basic {token}"}),
            web.post(f"{V1}/runs", json={"job": token}, headers={"Authorization": f"Bearer {token[:-1]}"}),
            web.get(f"{V1}/audit?limit=1000", headers=headers),
            web.get(f"{V1}/mail?limit=1000", headers=headers),
            web.get(f"{V1}/mail/ML-00000001", headers=headers),
            web.get(f"{V1}/users/jane@example.com/tokens", headers=headers),
            web.get(f"{V1}/workers", headers=headers),
            web.get("/readyz"),
        ]
    assert len([line for line in logged if line["event"] == "request"]) == 1 + len(refusals)
    everything = json.dumps(logged, default=str) + "".join(answer.text for answer in refusals)
    for secret in (made["token"], token, ping):
        assert secret not in everything
