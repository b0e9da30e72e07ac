"""The pages of asset line items: terms, the price in force, the vendor's tables, and amending."""

from __future__ import annotations

import html
import re

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.usage_inputs import add_usage_input, list_usage_inputs
from tests.console.conftest import Visit
from tests.console.seed_inputs import HOSTILE, JULY, JUNE, words
from tests.support.application import ACTOR

pytestmark = pytest.mark.usefixtures("seed")

ASSET = "/asset-line-items/AL-1"
FORESEE = f"{ASSET}/amend?billing_frequency=Quarterly&foresee=true"


def form_of(page: str, token: str) -> dict[str, str]:
    """What the form that confirms sends."""
    sent = page.partition("3. Confirm")[2]
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', sent)
    return {name: html.unescape(value) for name, value in hidden} | {"csrf_token": token}


def statuses(app: Application) -> list[str]:
    return sorted(one["status"] for one in list_billing_schedules(app, actor=ACTOR))


def test_the_list_leads_to_each_asset(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    page = web.get("/asset-line-items").text
    assert f'href="{ASSET}">AL-1' in page
    assert "100.00 USD" in words(page)


def test_the_page_has_the_terms_and_tables_of_the_vendor(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    page = web.get(ASSET).text
    shown = words(page)
    assert "Selling Frequency Yearly Billing Frequency Half Yearly Usage Frequency Monthly" in shown
    heads = [re.findall(r"<th[^>]*>([^<]+)</th>", table) for table in page.split("<table")[1:]]
    assert heads[-3] == [
        *("Billing Schedule ID", "Period Start Date", "Period End Date", "Fee Amount"),
        *("Ready for Invoice Date", "Type", "Status", "Superseded"),
    ]
    assert heads[-2] == [
        *("Schedule id", "Fee Amount", "Billing Schedule", "Actual Quantity", "Period Start Date"),
        *("Period End Date", "Status", "Type", "(Draft) Rated Quantity", "(Draft) Fee Amount", "Superseded"),
    ]
    assert JUNE in page
    assert JULY in page


def test_the_price_is_that_which_is_in_force_on_the_day_asked_for(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    shown = words(web.get(f"{ASSET}?on=2023-06-05").text)
    assert "Internet Plans of PB-1, by the contract K-1" in shown
    assert "0.00 20.00 200.00 USD" in shown
    assert "No price of Internet Plans is in force" in web.get(f"{ASSET}?on=2022-12-31").text
    refused = web.get(f"{ASSET}?on=2023-02-30")
    assert (refused.status_code, 'href="#on"' in refused.text) == (422, True)


def test_an_amendment_shows_first_what_becomes_of_what_and_then_does_just_that(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    before = statuses(app)
    page = web.get(FORESEE).text
    shown = words(page)
    assert "Billing frequency Half Yearly → Quarterly" in shown
    assert "2 superseded, 4 new" in shown
    assert "2 inputs: amounts go to zero" in shown
    assert statuses(app) == before == ["Pending Billing"] * 2
    answer = web.post(f"{ASSET}/amend", data=form_of(page, token) | {"reason": HOSTILE})
    assert "The asset line item was amended" in answer.text
    assert "2 superseded billing schedules" in words(answer.text)
    assert statuses(app) == ["Pending Billing"] * 4 + ["Superseded"] * 2
    assert {one["draft_rated_amount"] for one in list_usage_inputs(app, actor=ACTOR)} == {"0.00"}
    explained = web.get(f"/usage-inputs/{JUNE}").text
    assert "An amendment took it to zero" in explained
    assert str(escape(HOSTILE)) in explained
    assert "<script>alert" not in explained


def test_an_amendment_that_would_do_something_else_by_now_is_shown_anew_and_not_done(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    form = form_of(web.get(FORESEE).text, token)
    add_usage_input(
        app,
        asset_line_item_id="AL-1",
        usage_date="2023-06-20",
        quantity="5",
        product_uom="Each",
        actor=ACTOR,
    )
    answer = web.post(f"{ASSET}/amend", data=form | {"reason": "Other terms"})
    assert answer.status_code == 422
    assert "3 inputs: amounts go to zero" in words(answer.text)
    assert 'value="Other terms"' in answer.text
    assert statuses(app) == ["Pending Billing"] * 2
    web.post(f"{ASSET}/amend", data=form_of(answer.text, token))
    assert len(statuses(app)) == 6


def test_terms_that_cannot_be_are_refused_beside_their_field(web: TestClient, visit: Visit) -> None:
    visit("operator")
    answer = web.get(f"{ASSET}/amend?end_date=2022-01-01&price_book_id={HOSTILE}&foresee=true")
    assert answer.status_code == 422
    assert "<script>alert" not in answer.text
    assert 'href="#price_book_id"' in answer.text
    assert 'value="2022-01-01"' in answer.text
    assert "3. Confirm" not in answer.text


def test_an_asset_that_is_not_there_is_told(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    assert web.get("/asset-line-items/AL-0").status_code == 404
    assert "Needs the role operator" in web.get(ASSET).text
