"""The pages of the audit trail: filtered, with what each act changed, as a file, and the state of its chain."""

from __future__ import annotations

import csv
import re
from dataclasses import asdict
from datetime import timedelta
from html import unescape
from io import StringIO

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from batchwright.console.pages.differences import Difference, differences
from batchwright.operations import audit_store
from batchwright.operations.access import audit, audit_trail
from batchwright.operations.access.audit_trail import audit_page
from batchwright.operations.access.sealing import seal_committed
from batchwright.operations.access.users import set_role
from batchwright.operations.app import Application
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.paging import cursor
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.files import apply_schedules
from tests.console.conftest import Visit
from tests.support.application import ACTOR

HOSTILE = "=1+1<svg onload=alert(1)>"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_an_entry_shows_what_changed_and_nothing_that_stayed(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    token = visit("administrator")
    set_role(app, "viewer@example.com", "operator", actor=ACTOR, reason=HOSTILE)
    page = web.get("/audit?act=user.role").text
    assert "<del>viewer</del> <ins>operator</ins>" in page
    assert "1 field<" in page
    assert "<svg onload" not in page
    assert page.count('<tr id="entry-') == 1
    assert 'href="/audit?act=user.role"' in web.get("/audit").text
    login_name = f'<span class="quiet">{ACTOR.os_user}</span>'
    assert login_name in page
    file = web.get("/audit.csv?act=user.role")
    assert file.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
    head, row, end = csv.reader(StringIO(file.text))
    found = dict(zip(head, row, strict=True))
    assert (found["subject"], found["reason"], end) == ("viewer@example.com", f"'{HOSTILE}", ["# 1 rows"])
    nothing = web.get("/audit?act=user").text
    assert "No entry matches the filter" in nothing
    assert "are compared whole" in nothing
    assert web.get("/audit?door=window").status_code == 422
    by_console = web.post("/users/viewer@example.com/role", data={"csrf_token": token, "role": "viewer"})
    assert by_console.status_code == 200
    assert login_name not in web.get("/audit?door=console&act=user.role").text


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_schedule_and_a_run_lead_those_who_may_to_the_acts_on_them(
    app: Application, web: TestClient, visit: Visit
) -> None:
    lines = [f'0 0 0 ? * * * "{name}" draft-usage-rating' for name in ("A & B", "C")]
    apply_schedules(app, "\n".join(lines), file="nightly", actor=ACTOR)
    run_id = submit_run(app, "draft-usage-rating", {}, actor=ACTOR).run_id
    for role, links in (("operator", 0), ("administrator", 1)):
        visit(role)
        assert web.get("/schedules/A%20%26%20B").text.count('href="/audit?subject=A%20%26%20B"') == links
        assert web.get(f"/runs/{run_id}").text.count(f'href="/audit?subject={run_id}"') == links
    assert "schedule.apply" in web.get("/audit?subject=A%20%26%20B").text


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_long_chain_is_checked_part_by_part_and_says_which(
    app: Application, web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit("administrator")
    number = seal_committed(app)
    monkeypatch.setattr(audit_trail, "PORTION", 1)
    monkeypatch.setattr(audit_trail, "PART_SECONDS", -1.0)
    with app.database.write() as connection:
        connection.execute(text("UPDATE audit_entry SET reason = 'another' WHERE id = 1"))
    page = web.get("/audit/verify?newest_hash=abc").text
    for checked in range(1, number):
        assert f"{checked} of {number} seals checked" in page
        assert "entry 1 is not as it was sealed" in page
        assert "no seal has the hash" not in page
        following = re.search(r'href="([^"]*)" data-on>Check on', page)
        assert following
        page = web.get(unescape(following[1])).text
    assert "data-on" not in page
    assert re.search(r"from \d\d:\d\d:\d\d to ", page)
    assert "2 problems" in page
    assert "entry 1 is not as it was sealed" in page
    assert "no seal has the hash abc" in page


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_cursor_of_another_check_is_refused_with_what_to_do(web: TestClient, visit: Visit) -> None:
    visit("administrator")
    answer = web.get("/audit/verify?after=99")
    assert answer.status_code == 422
    assert "or leave it out to begin anew" in answer.text
    assert "Check against it" in answer.text


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_chain_says_that_an_entry_was_changed(app: Application, web: TestClient, visit: Visit) -> None:
    visit("administrator")
    unsealed = web.get("/audit/verify").text
    assert "Nothing sealed yet" in unsealed
    assert "Unchanged" not in unsealed
    seal_committed(app)
    page = web.get("/audit/verify").text
    assert "Unchanged" in page
    assert "no seal has the hash abc" in web.get("/audit/verify?newest_hash=abc").text
    with app.database.write() as connection:
        connection.execute(text("UPDATE audit_entry SET reason = 'another' WHERE id = 1"))
    assert "entry 1 is not as it was sealed" in web.get("/audit/verify").text


def test_entries_are_found_by_who_what_where_and_when(app: Application) -> None:
    now = app.clock.now()
    with app.database.write() as connection:
        for number in range(4):
            at = now + timedelta(hours=number)
            audit.record(connection, ACTOR, f"act.{number % 2}", f"JR-{number}", now=at)
        audit.record(connection, ACTOR, "act.2", "2 inputs", records=["IN-1", "IN-2"], now=now)

    def found(wanted: AuditFilter, *, walked: bool = False) -> list[int]:
        listing = audit_store.walk_of(wanted) if walked else audit_store.list_audit_entries(wanted=wanted)
        assert listing is not None
        with app.database.read() as connection:
            return [row["id"] for row in connection.execute(listing.page(None, None)).mappings()]

    assert found(AuditFilter()) == [4, 3, 2, 5, 1]  # by time, then as they were written
    assert found(AuditFilter(act="act.0")) == [3, 1]
    assert found(AuditFilter(subject="IN-2")) == [5]
    assert found(AuditFilter(subject="JR-2")) == [3]
    assert found(AuditFilter(since=now + timedelta(hours=1), before=now + timedelta(hours=3))) == [3, 2]
    assert found(AuditFilter(actor="nobody")) == []
    assert found(AuditFilter(actor="nobody", act="act.1")) == []
    assert found(AuditFilter(actor="nobody", act="act.1"), walked=True) == [4, 2]
    assert found(AuditFilter(actor=ACTOR.name, door=str(ACTOR.door))) == [4, 3, 2, 5, 1]


def test_a_difference_names_fields_within_objects_and_what_is_no_object_as_a_whole() -> None:
    assert differences({"a": 1, "b": {"c": "x", "d": 2}}, {"a": 1, "b": {"c": "y", "d": 2}, "e": None}) == [
        Difference("b.c", "x", "y"),
        Difference("e", None, "null"),
    ]
    assert differences(None, {"a": [1]}) == [Difference("a", None, "[1]")]
    assert differences("damaged: 00", None) == [Difference("", "damaged: 00", None)]
    assert differences(None, None) == []


def test_pages_go_on_behind_an_entry_whose_time_is_none(app: Application) -> None:
    now = app.clock.now()
    with app.database.write() as connection:
        for number in range(4):
            audit.record(connection, ACTOR, "act", f"JR-{number}", now=now + timedelta(hours=number))
        if app.database.is_sqlite:  # PostgreSQL keeps nothing but times
            connection.execute(text("UPDATE audit_entry SET at = '2 and a bit' WHERE id IN (2, 3)"))
    seen, after = [], None
    while True:
        page = audit_page(app, AuditFilter(act="act"), limit=1, after=after, actor=ACTOR)
        seen += [entry["entry_id"] for entry in page.items]
        if (after := page.next) is None:
            break
    assert sorted(seen) == [1, 2, 3, 4]
    forged = cursor("audit", asdict(AuditFilter()), ["no time", 1])
    assert audit_page(app, after=forged, actor=ACTOR).next is None
