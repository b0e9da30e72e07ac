"""What has happened to the consoles of others, and what keeps it from happening to ours (by OWASP ASVS 5.0).

`test_security` has the same of the API. Where no module is named, a test below.

- Markup in a parameter or a path comes back (Sidekiq, Resque), text that people, jobs or other servers wrote is run as
  script (Sidekiq, Hangfire, RQ, Airflow): `test_every_page`, every page and value; in Chromium:
  `browser/test_every_page_…`.
- Numbers without bounds (Sidekiq): every length of a list; others: `test_every_page`. How often a page asks for news
  is in the page and the script, which never asks twice a second; nothing of it is kept in the browser, so nobody sets
  it.
- Values and names that are not known mean *all* (Resque): refused, by name and by value.
- An act without its check (Oban Web), by GET (Airflow), by a form of a foreign page (Sidekiq, Flower), after signing
  out: `test_every_page`; sign-in too, and what fails on a second server (Hangfire): `test_sign_in`.
- An act of somebody who found an open browser: the password again, `test_every_page`,
  `tests/operations/test_confirming`.
- A session that outlives its user (Airflow): disabled, `test_user_pages`; signed out, ended, eight hours,
  `test_sign_in`; another password, `test_own_password`; seven days, `tests/operations/test_web_doors`; a lower role:
  below.
- A cookie for more than ours (Airflow): `test_prefix`, `test_own_password` (`__Host-`).
- Redirects to elsewhere (Airflow): `test_own_path`. Links back (Airflow) are made by us: no page takes one.
- A cron expression that takes gigabytes to explain (Oban Web): `tests/engine/cron/test_grammar`.
- Pages in a browser's cache (Airflow): `no-store`, below; back after signing out: `browser/test_sign_in_…`.
- Secrets on a page (Airflow): no hash, token or reference, below; shown once: `test_user_pages`; in links of mail:
  `test_mail_pages`; in the log: `tests/operations/test_sign_in`, and below; a job's: `test_launch`.
- Ids with paths, NUL, half surrogates, 10,000 characters (Airflow): `test_every_page`.
- Addresses by pattern (Flower): users are looked up by their whole address in lower case, by one statement.
- Open to other origins (Prefect): no header of CORS, no preflight.
- Uploads (Spring Batch Admin): `test_import_pages`, `test_hostile`; many ranges, many fields (Starlette).
- Open by default (Hangfire): `tests/cli/test_serve`; without a user only the first administrator's page:
  `test_own_password`.
- Another Host, `X-Forwarded-…` of anybody: `test_envelope`, `tests/cli/test_serve`. Headers: on pages, errors and
  files.
- Passwords: a lane of few, a hash for nobody, delays that end, mail after failures, the commonest:
  `tests/operations/test_sign_in`; links that are good once, which opening does not use up: `test_own_password`.
- Files of the package only: `test_pages`. OpenAPI and its page want a token: `test_roles_over_http`.
- Nobody knows who did what: sign-ins good and bad, `tests/operations/test_sign_in`; forms that are refused, below;
  refusals, `test_roles_over_http`; files of many rows, and formulas in them, `test_streams`.
- A ping to what only this machine reaches: `test_security`. A message of mail that acts as a page: `test_mail_pages`.
- Unsubscribing is a page with a button, or one POST with a code for that recipient: `test_preference_pages`.

Decided: four eyes on *apply* and *set-status* (ASVS 2.3.5, level 3) are not built; the table of states has room for one
before *Queued*. A sign-in from a new address is not told apart: *Your sessions* shows each with its address.
"""

from __future__ import annotations

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from batchwright.config.logging import configure_logging
from batchwright.console.envelope import HEADERS
from batchwright.console.pages import banners, static_files
from batchwright.console.pages.session import COOKIE
from batchwright.operations.access.users import set_role
from batchwright.operations.app import Application
from batchwright.operations.tables import (
    app_user,
    one_time_link,
    sign_in_try,
    signing_key,
    user_session,
    user_token,
)
from tests.console.conftest import Caller, Visit
from tests.console.forms import token_in
from tests.console.pages_there_are import email_of, pages_there_are
from tests.support.application import ACTOR

SECRETS = (
    *(app_user.c.password_hash, user_token.c.hash, user_session.c.hash, one_time_link.c.hash),
    *(sign_in_try.c.hash, signing_key.c.value),
)

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
def everything(web: TestClient, app: Application, furnished: None, visit: Visit) -> None:
    """Something behind the pages, seen by an administrator."""
    visit("administrator")
    banners.forget()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/usage-inputs", 200), ("/sign-in", 303), ("/no-such-page", 404), ("/runs/JR-9", 404)),
        *(
            ("/usage-inputs?limit=0", 422),
            ("/users/add?x=1", 422),
            (static_files.address_of("console.js"), 200),
        ),
    ],
)
def test_pages_errors_and_files_carry_the_headers_of_every_answer(
    web: TestClient, everything: None, path: str, status: int
) -> None:
    answer = web.get(path, follow_redirects=False)
    assert answer.status_code == status
    kept = {"Cache-Control"} if path.startswith("/static/") else set()
    for name in HEADERS.keys() - kept:
        assert answer.headers[name] == HEADERS[name], name


@pytest.mark.parametrize("number", [0, -1, 10**9, 10**30, "1.5", "NaN"])
def test_no_list_is_as_long_as_its_address_wants(web: TestClient, everything: None, number: object) -> None:
    lists = [page.path for page in pages_there_are("GET") if "limit" in page.asked and not page.names]
    assert len(lists) > 8
    for path in lists:
        assert web.get(f"{path}?limit={number}").status_code == 422, path


@pytest.mark.parametrize(
    "asked",
    [
        *(
            "/runs?status=<script>",
            "/runs?badge=Failed",
            "/runs?period=2026",
            "/usage-inputs?status=<script>",
        ),
        *("/usage-inputs?code=x", "/usage-inputs?from=yesterday", "/mail?status=<script>", "/audit?door=x"),
        *("/schedules?sort=<script>", "/forecast?by=<script>", "/usage-inputs?back=//evil.example"),
    ],
)
def test_a_filter_that_is_not_known_is_refused_and_never_means_all(
    web: TestClient, everything: None, asked: str
) -> None:
    answer = web.get(asked)
    assert (answer.status_code, "<script>" in answer.text) == (422, False)
    assert 'tr id="' not in answer.text


def test_a_lower_role_counts_from_the_next_request_on(
    web: TestClient, app: Application, visit: Visit
) -> None:
    token = visit("operator")
    assert web.get("/usage-inputs/add").status_code == 200
    set_role(app, email_of("operator"), "viewer", actor=ACTOR)
    assert web.get("/usage-inputs/add").status_code == 403
    assert web.post("/usage-inputs/add", data={"csrf_token": token}).status_code == 403


def test_no_page_shows_what_opens_a_door(
    web: TestClient, app: Application, everything: None, caller: Caller
) -> None:
    token = caller("administrator")["Authorization"].removeprefix("Bearer ")
    with app.database.read() as connection:
        stored = {text for column in SECRETS for text in connection.scalars(select(column)) if text}
    secrets = {token, web.cookies[COOKIE], *stored}
    assert len(secrets) > 4
    shown = 0
    for page in pages_there_are("GET"):
        if not page.names:
            text = web.get(page.path).text
            assert [secret for secret in secrets if secret in text] == [], page.path
            shown += 1
    assert shown > 25


def test_no_other_origin_is_let_in(web: TestClient, everything: None) -> None:
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answers = [web.options("/users/add", headers=asks), web.get("/users", headers=asks)]
    assert [answer.status_code for answer in answers] == [405, 200]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


def test_neither_many_ranges_nor_many_fields_are_more_work(web: TestClient) -> None:
    there = static_files.address_of("console.js")
    ranges = ",".join(f"{place}-{place + 1}" for place in range(5_000))
    assert web.get(there, headers={"Range": f"bytes={ranges}"}).content == web.get(there).content
    fields = {f"field{number}": "" for number in range(5_000)}
    assert web.post("/sign-in", data=fields).status_code in (400, 403)
    files = [("files", (f"{number}.csv", b"")) for number in range(5_000)]
    assert web.post("/sign-in", files=files).status_code == 400


def test_a_form_that_is_refused_stands_in_the_log_without_what_it_held(
    web: TestClient, everything: None
) -> None:
    configure_logging(1)  # as `serve` does
    with capture_logs() as lines:
        web.post("/sign-in", data={"email": "ada@example.com", "password": "seven green bottles"})
        form = token_in(web.get("/users/add").text)
        web.post("/users/add", data={"csrf_token": form}, headers={"Origin": "https://evil.example"})
    refused = [(line["path"], line["why"]) for line in lines if line["event"] == "a form was refused"]
    assert refused == [
        ("/sign-in", "its csrf_token is not that of the session"),
        ("/users/add", "its Origin is another"),
    ]
    assert "seven green bottles" not in str(lines)
