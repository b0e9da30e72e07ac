"""The pages of billing schedules: the list, and the status that is set as it was foreseen."""

from __future__ import annotations

import html
import re

import pytest
from starlette.testclient import TestClient

from batchwright.console.pages.routes import billing_schedules as routes
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import (
    list_billing_schedules,
    set_billing_schedule_status,
)
from tests.console.conftest import Visit
from tests.console.seed_inputs import words
from tests.support.application import ACTOR

pytestmark = [
    pytest.mark.usefixtures("seed"),
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
]

LISTED = "/billing-schedules"
STATUS = f"{LISTED}/status"
BY_DAY = f"{STATUS}?status=Pending+Invoice&ready_by=2023-07-01"


def ids(app: Application) -> list[str]:
    return [one["billing_schedule_id"] for one in list_billing_schedules(app, actor=ACTOR)]


def statuses(app: Application) -> list[str]:
    return [one["status"] for one in list_billing_schedules(app, actor=ACTOR)]


def form_of(page: str, token: str, **more: str) -> dict[str, str | list[str]]:
    """What the form that confirms sends."""
    sent = page.partition(f'method="post" action="{STATUS}"')[2]
    form: dict[str, str | list[str]] = {"csrf_token": token, **more}
    for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', sent):
        if name == "billing_schedule_id":
            form[name] = [*form.get(name, []), html.unescape(value)]
        elif name != "csrf_token":
            form[name] = html.unescape(value)
    return form


def test_the_list_is_filtered_and_leads_to_the_asset(app: Application, web: TestClient, visit: Visit) -> None:
    visit("viewer")
    first, second = ids(app)
    page = web.get(LISTED).text
    assert first in page
    assert 'href="/asset-line-items/AL-1#billing-schedules"' in page
    assert 'name="billing_schedule_id"' not in page
    narrowed = web.get(f"{LISTED}?period=2023-12&asset_line_item_id=AL-1&customer_id=C-1").text
    assert (first in narrowed, second in narrowed) == (False, True)
    assert "No billing schedule matches" in web.get(f"{LISTED}?status=Invoiced").text
    refused = web.get(f"{LISTED}?period=2023")
    assert (refused.status_code, 'href="#period"' in refused.text) == (422, True)


def test_by_a_day_it_is_told_in_numbers_what_moves_and_just_that_is_done(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("Billing Utilities Admin")
    shown = web.get(BY_DAY).text
    assert "Move 1 billing schedule to Pending Invoice? " in words(shown)
    assert "From Pending Billing 1 billing schedule" in words(shown)
    assert "Amendments leave them alone from then on" in shown
    assert statuses(app) == ["Pending Billing"] * 2
    answer = web.post(STATUS, data=form_of(shown, token, reason="July's invoices"))
    assert "have their new status" in answer.text
    assert statuses(app) == ["Pending Invoice", "Pending Billing"]
    entry = next(iter(list_audit(app)))
    assert (entry["act"], entry["reason"]) == ("billing_schedule.set_status", "July's invoices")


def test_more_than_are_summed_up_at_once_are_summed_up_where_that_is_asked_for(
    web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit("Billing Utilities Admin")
    monkeypatch.setattr(routes, "COUNTED", 1)
    assert "Move 1 billing schedule" in web.get(BY_DAY).text
    all_ready = BY_DAY.replace("2023", "2024")
    shown = web.get(all_ready).text
    assert "More than 1 billing schedule would move. " in words(shown)
    assert ("Fee Amount" in shown, f'method="post" action="{STATUS}"' in shown) == (False, False)
    link = re.search(r'href="([^"]*)">Count and sum up all', shown)
    assert link
    monkeypatch.setattr(routes, "PART_SECONDS", 0.0)
    monkeypatch.setattr("batchwright.operations.billing.billing_schedules.STRETCH", 1)
    summed = web.get(html.unescape(link[1])).text
    following = re.search(r'href="([^"]*)" data-on>Count on', summed)
    assert following
    assert "2 billing schedules counted so far" in words(summed)
    assert f'method="post" action="{STATUS}"' not in summed
    while following:
        summed = web.get(html.unescape(following[1])).text
        following = re.search(r'href="([^"]*)" data-on>Count on', summed)
    assert re.search(r"Counted from \d\d:\d\d:\d\d to ", words(summed))
    assert "Move 2 billing schedules" in words(summed)
    assert f'method="post" action="{STATUS}"' in summed


def test_what_is_ticked_moves_and_what_has_the_status_is_left_alone(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("Billing Utilities Admin")
    named = "&".join(f"billing_schedule_id={one}" for one in ids(app))
    set_billing_schedule_status(app, ids(app)[:1], "invoiced", actor=ACTOR)
    shown = web.get(f"{STATUS}?status=Invoiced&{named}").text
    assert "Have it already 1" in words(shown)
    web.post(STATUS, data=form_of(shown, token))
    assert statuses(app) == ["Invoiced"] * 2
    refused = web.get(f"{STATUS}?status=Pending+Invoice&{named}")
    assert refused.status_code == 422
    assert "not to be moved to Pending Invoice, Invoiced:" in words(refused.text)


def test_what_would_be_something_else_by_now_is_shown_anew_and_not_done(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("Billing Utilities Admin")
    form = form_of(web.get(f"{STATUS}?status=Invoiced&ready_by=2024-01-01").text, token)
    set_billing_schedule_status(app, ids(app)[:1], "invoiced", actor=ACTOR)
    answer = web.post(STATUS, data=form | {"reason": "All of them"})
    assert answer.status_code == 422
    assert "Move 1 billing schedule to Invoiced? " in words(answer.text)
    assert 'value="All of them"' in answer.text
    assert statuses(app) == ["Invoiced", "Pending Billing"]


def test_a_day_that_is_wrong_is_refused_beside_its_field(web: TestClient, visit: Visit) -> None:
    visit("Billing Utilities Admin")
    answer = web.get(f"{STATUS}?status=Pending+Billing&ready_by=2023-07-01")
    assert (answer.status_code, 'href="#ready_by"' in answer.text) == (422, True)
    assert 'value="2023-07-01"' in answer.text
