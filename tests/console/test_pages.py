"""What every page has in common."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader
from sqlalchemy import event
from starlette.responses import Response
from starlette.testclient import TestClient

from batchwright.console.pages import banners, formats, sharing, static_files
from batchwright.console.pages.render import TEMPLATES, version_of
from batchwright.console.pages.sharing import GOOD_FOR, SharedAnswers
from batchwright.engine.run import State
from batchwright.operations.access.sessions import end_sessions
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import list_asset_line_items
from batchwright.operations.billing.loaded import Kind, loaded_page
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from tests.console.conftest import Visit
from tests.support.application import ACTOR

HOSTILE = '"><svg onload=alert(1)>'


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    """What is said on top is read anew by each test."""
    banners.forget()


def test_what_needs_somebody_is_said_on_top_of_each_page_with_where_to_look(
    app: Application, web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = {
        "held_at": "2026-03-01T12:00:00.000Z",
        "held_by": "dana",
        "held_reason": "<b>",
        "no_worker": True,
        "clocks": [
            {"host": "a<b", "ahead_seconds": 300.2},
            {"host": "c", "ahead_seconds": -7_200.0},
        ],
        "mail_stuck": 1,
        "mail_refused": 4,
        "mail_directory": "/srv/mail",
    }
    monkeypatch.setattr(banners, "service_troubles", lambda app, actor: troubles)
    visit("viewer")
    for path in ("/runs", "/schedules"):
        page = web.get(path).text
        for said in (
            'All schedules are held since <span class="id">2026-03-01 12:00 UTC</span> by dana (&lt;b&gt;): nothing ',
            'No worker is there: runs wait until one is started. <a href="/workers">',
            "The clock of a&lt;b is 5 min ahead of the database&#39;s",
            "The clock of c is 2 h behind the database&#39;s",
            '1 mail could not be sent for an hour. <a href="/mail?status=waiting">',
            'The last 4 mails were refused, and none was sent since. <a href="/mail?status=failed">',
            "Mail is written to files in mail, not sent.",
        ):
            assert said in page, said
    troubles |= {
        "held_at": None,
        "held_by": None,
        "held_reason": None,
        "no_worker": False,
        "clocks": [],
        "mail_stuck": 0,
        "mail_refused": 0,
        "mail_directory": None,
    }
    assert 'class="banner warning"' in web.get("/runs").text  # for a few seconds all are told the same
    banners.forget()
    assert 'class="banner' not in web.get("/runs").text


def test_the_style_sheet_is_kept_by_browsers_under_a_name_that_says_its_content(web: TestClient) -> None:
    answer = web.get(static_files.address_of("console.css"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_nothing_but_the_files_of_the_package_is_served(web: TestClient) -> None:
    for name in ("console.css", "..%2f__init__.py", "%2e%2e/application.py", "", "console.000000000000.css"):
        assert web.get(f"/static/{name}").status_code == 404, name


def test_an_address_without_a_page_is_told_as_a_page_with_the_script_escaped(web: TestClient) -> None:
    answer = web.get(f"/{HOSTILE}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<svg onload" not in answer.text
    assert answer.headers["X-Request-Id"] in answer.text


def test_no_two_badges_of_runs_differ_by_colour_alone() -> None:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    environment.filters.update(formats.FILTERS, version=version_of)
    badge: Any = environment.get_template("macros.html").make_module({"has": bool}).__dict__["badge"]
    cases = [(state, 0) for state in State if state is not State.PREPARING] + [(State.COMPLETED, 2)]
    said = set()
    for status, errored in cases:
        html = str(badge({"run_id": "JR-1", "status": str(status), "errored": errored}))
        found = re.search(r"(<svg.*</svg>)<span>(.+?)</span>", html, re.DOTALL)
        assert found, html
        said.add(found.groups())
    assert len(said) == len(cases)
    shapes = {
        shape for shape, word in said if word in ("Complete", "Complete · 2 errors", "Failed", "Aborted")
    }
    assert len(shapes) == 4


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.iterdir()))
def test_no_template_holds_what_the_policy_forbids_or_what_is_not_escaped(name: str) -> None:
    written = (TEMPLATES / name).read_text()
    assert not re.search(
        r"\sstyle=|\son[a-z]+=|javascript:|<style|\|\s*safe|autoescape false|<script(?! defer src)", written
    )


def test_who_is_not_signed_in_is_led_to_the_form_with_the_page_they_wanted(web: TestClient) -> None:
    answer = web.get("/runs?job=usage-rating", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        "/sign-in?next=%2Fruns%3Fjob%3Dusage-rating",
    )


def test_fields_of_a_filter_that_were_left_blank_are_left_out_of_the_address(
    web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    answer = web.get("/runs?job=usage-rating&actor=&status=", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs?job=usage-rating")
    answer = web.get("/runs/%E2%82%AC: y?actor=", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs/%E2%82%AC%3A%20y")


def test_every_page_shows_the_label_of_the_database_who_looks_and_the_way_out(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    page = web.get("/runs").text
    assert "viewer@example.com" in page
    assert 'action="/sign-out"' in page
    assert "No worker is there" in page
    assert 'href="/users"' not in page


def test_a_region_that_is_as_it_was_is_answered_with_nothing(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    known = re.search(r'id="region_runs"[^>]*data-version="(\w+)"', web.get("/runs").text)
    assert known is not None
    headers = {"X-Live-Region": "region_runs", "X-Live-Version": known[1]}
    assert web.get("/runs", headers=headers).status_code == 204
    answer = web.get("/runs", headers=headers | {"X-Live-Version": "another"})
    assert (answer.status_code, "<html" in answer.text, known[1] in answer.text) == (200, False, True)
    assert web.get("/runs", headers={"X-Live-Region": "main"}).status_code == 404


def test_no_region_that_viewers_share_holds_what_is_of_one_of_them(
    app: Application, web: TestClient, visit: Visit, seed: None
) -> None:
    token = visit("operator")
    run_id = submit_run(app, "usage-rating", {}, actor=ACTOR).run_id
    for path, region in (("/runs", "region_runs"), (f"/runs/{run_id}", "region_run")):
        look = web.get(path, headers={"X-Live-Region": region}).text
        assert "Abort" in look
        assert token not in look
        assert "operator@example.com" not in look
        visit("viewer")
        assert 'title="Needs the role operator"' in web.get(path, headers={"X-Live-Region": region}).text
        token = visit("operator")


def test_what_refuses_a_look_is_a_whole_page_and_not_shared(
    web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "GOOD_FOR", 1_000)
    asked = {"X-Live-Region": "region_figures"}
    for _ in range(2):
        token = visit("operator")
        refused = web.get("/forecast?from=2023-13", headers=asked)
        assert (refused.status_code, token in refused.text) == (422, True)


def test_a_look_at_what_was_just_made_for_others_reads_nothing_but_who_looks(
    app: Application, web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "GOOD_FOR", 1_000)
    visit("viewer")
    asked = {"X-Live-Region": "region_runs"}
    first = web.get("/runs", headers=asked)
    read: list[str] = []
    event.listen(app.database.engine, "before_cursor_execute", lambda *given: read.append(given[2]))
    again = web.get("/runs", headers=asked)
    assert (again.text, again.headers["Content-Type"]) == (first.text, first.headers["Content-Type"])
    assert {re.findall(r"FROM (\w+)", one)[0] for one in read} <= {"alembic_version", "user_session"}
    known = re.search(r'data-version="(\w+)"', first.text)
    assert known
    assert web.get("/runs", headers=asked | {"X-Live-Version": known[1]}).status_code == 204
    visit("operator")
    assert 'name="run_id"' not in again.text
    assert web.get("/runs", headers=asked).status_code == 200
    assert len(read) > 6


def test_a_look_at_what_was_just_made_for_others_is_refused_to_whose_session_has_ended(
    app: Application, web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "GOOD_FOR", 1_000)
    visit("viewer")
    asked = {"X-Live-Region": "region_runs", "Sec-Fetch-Dest": "empty"}
    assert web.get("/runs", headers=asked).status_code == 200
    end_sessions(app, "viewer@example.com", actor=ACTOR)
    refused = web.get("/runs", headers=asked)
    assert (refused.status_code, "region_runs" in refused.text) == (401, False)


def test_a_run_that_ends_while_one_looks_shows_when_and_its_mail(
    app: Application, web: TestClient, visit: Visit, seed: None
) -> None:
    submitted = submit_run(app, "usage-rating", {}, actor=ACTOR)
    visit("viewer")
    path, request = f"/runs/{submitted.run_id}", {"X-Live-Region": "region_run"}
    ended = re.compile(r"<dt>Ended</dt><dd><time ")
    before = web.get(path, headers=request).text
    assert "It sends mail when it has ended." in before
    assert not ended.search(before)
    drive_submitted(app, submitted)
    after = web.get(f"{path}?done=launched", headers=request).text
    assert "It sends mail when it has ended." not in after
    assert ended.search(after)


def test_what_ticks_by_itself_makes_no_news() -> None:
    assert version_of(formats.ticking(61)) == version_of(formats.ticking(63))
    assert version_of("<b>1</b>") != version_of("<b>2</b>")


def test_the_search_leads_to_what_has_the_id(
    app: Application, web: TestClient, visit: Visit, seed: None
) -> None:
    visit("viewer")
    (first, *_) = list_usage_inputs(app, actor=ACTOR)
    for wanted in (first["usage_input_id"], f" {first['usage_input_id']} "):
        answer = web.get("/search", params={"q": wanted}, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/usage-inputs/{first['usage_input_id']}"
    for kind in (Kind.CUSTOMER, Kind.CONTRACT):
        wanted = loaded_page(app, kind, actor=ACTOR).items[0][f"{kind.value}_id"]
        answer = web.get("/search", params={"q": wanted}, follow_redirects=False)
        assert answer.headers["Location"] == f"/{kind.value}s/{wanted}"
    (schedule, *_) = list_usage_schedules(app, actor=ACTOR)
    answer = web.get("/search", params={"q": schedule["usage_schedule_id"]}, follow_redirects=False)
    assert answer.headers["Location"] == f"/asset-line-items/{schedule['asset_line_item_id']}"


def test_what_is_no_id_is_looked_for_in_lists_as_a_part(
    app: Application, web: TestClient, visit: Visit, seed: None
) -> None:
    visit("viewer")
    number = next(list_asset_line_items(app, actor=ACTOR))["asset_number"]
    answer = web.get("/search", params={"q": number})
    assert (answer.status_code, f"Nothing has the id {number}" in answer.text) == (404, True)
    lists = re.findall(r'href="(/[^"]*words=[^"]*)"', answer.text)
    assert len(lists) == 6
    assert [web.get(one).status_code for one in lists] == [200] * 6
    assert number in web.get(lists[0]).text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0.4 s"), (9, "9 s"), (59.6, "1 min"), (90, "1 min 30 s"), (7_500, "2 h 5 min"), (86_400, "1 d")],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert formats.in_words(seconds) == words


def test_an_amount_keeps_its_cents_and_a_hyphen_and_a_blank_is_not_zero() -> None:
    shown = re.sub(r"<[^>]+>", "", formats.money("-1234567.80", "USD"))
    assert shown == "minus -1,234,567.80 USD"
    assert "0.00" not in formats.money(None)


def test_months_one_after_another_are_told_as_a_span() -> None:
    shown = re.sub(r"<[^>]+>", "", formats.months(["2023-11", "2023-12", "2024-01", "2024-03"]))
    assert shown == "2023-11 to 2024-01, 2024-03"


def test_a_time_says_its_instant_in_utc_whatever_zone_it_is_shown_in() -> None:
    assert 'datetime="2026-03-01T12:00:00Z"' in formats.utc(datetime(2026, 3, 1, 12, tzinfo=UTC))


def test_looks_of_many_viewers_are_made_once_and_again_a_moment_later() -> None:
    now, made = [0.0], []

    def make() -> Response:
        made.append(now[0])
        return Response(str(len(made)))

    looks = SharedAnswers(lambda: now[0])
    assert [bytes(looks.answer("/runs", make).body) for _ in range(20)] == [b"1"] * 20
    now[0] += GOOD_FOR
    assert bytes(looks.answer("/runs", make).body) == b"2"
    assert bytes(looks.answer("/runs?job=x", make).body) == b"3"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("value", ["x" * 5_000, "x'y z" * 1_000], ids=["word", "words"])
def test_a_page_does_not_repeat_what_is_very_long_in_what_it_refuses(
    web: TestClient, visit: Visit, value: str
) -> None:
    visit("administrator")
    for path in (f"runs/{value}", f"jobs/{value}/launch", f"users/{value}", f"runs?status={value}"):
        page = web.get(f"/{path}")
        assert 400 <= page.status_code < 500
        assert value not in unescape(page.text.partition("<main")[2]), path
