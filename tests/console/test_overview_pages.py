"""The first page and the forecast: what needs somebody, what comes, and money in one currency at a time."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from batchwright.billing.records import forecast_blocks
from batchwright.console.pages import banners
from batchwright.console.pages.charts import MOST, chart_of
from batchwright.console.pages.routes import overview
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations import acknowledging
from batchwright.operations.acknowledging import acknowledge
from batchwright.operations.app import Application
from batchwright.operations.billing import forecast as forecasts
from batchwright.operations.billing.forecast import forecast, refresh_forecast
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.runs.waiting import list_at_work
from batchwright.operations.schedules.schedules import add_schedule
from batchwright.operations.workers import Presence
from tests.console.conftest import Visit
from tests.support.application import ACTOR
from tests.support.statements import executed


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    """What is said on top is read anew by each test."""
    banners.forget()


@pytest.fixture
def drafted(app: Application, company: None) -> str:
    """The sample company with a draft of all; the id of its run."""
    submitted = submit_run(app, "draft-usage-rating", {}, actor=ACTOR, claim=True)
    drive_submitted(app, submitted, mail=False)
    return submitted.run_id


def line(month: str, draft: str | None, rated: str) -> dict[str, Any]:
    return {"month": month, "draft_fee_amount": draft, "fee_amount": rated}


def test_a_company_without_a_run_is_quiet_in_one_sentence(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    page = web.get("/").text
    for said in (
        "Quiet since",
        "No run yet",
        "Nothing is at work",
        "No schedule fires",
        "Nothing is forecast",
    ):
        assert said in page, said
    assert re.search(r'<a href="/" aria-current="page">', page)


def test_an_overview_and_a_look_at_what_is_at_work_read_little(
    app: Application, web: TestClient, visit: Visit, drafted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banners, "GOOD_FOR", 1_000)
    while refresh_forecast(app):
        pass
    for _ in range(3):
        submit_run(app, "usage-rating", {}, actor=ACTOR)
    with app.database.write() as connection:
        two = "SELECT id FROM run WHERE state <> 'Completed' ORDER BY id LIMIT 2"
        connection.execute(text(f"UPDATE run SET state = 'Processing', total = 1 WHERE id IN ({two})"))
    visit("viewer")
    web.get("/")
    with executed(app.database.engine) as at_work:
        assert web.get("/", headers={"X-Live-Region": "region_now"}).status_code == 200
    with executed(app.database.engine) as read:
        assert web.get("/").status_code == 200
    assert (len(at_work) <= 12, len(read) <= 25) == (True, True), (at_work, read)


def test_what_ended_badly_is_told_first_with_why_and_where_to_go(
    app: Application, web: TestClient, visit: Visit, drafted: str
) -> None:
    unwanted = submit_run(app, "usage-rating", {}, actor=ACTOR)
    abort_run(app, unwanted.run_id, actor=ACTOR, reason="Not wanted", mail=False)
    visit("viewer")
    dry = submit_run(app, "draft-usage-rating", {}, actor=ACTOR, mode="dry_run")
    drive_submitted(app, dry, mail=False)
    page = web.get("/").text
    assert f'id="needs-run-{dry.run_id}"' not in page
    assert f'id="needs-run-{unwanted.run_id}"' in page
    assert f'href="/runs/{drafted}/outcomes?outcome=error"' in page
    assert "Quiet since" not in page


def test_what_somebody_has_seen_stands_apart_with_their_note_until_something_new_happens(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    run_id = submit_run(app, "usage-rating", {}, actor=ACTOR).run_id
    abort_run(app, run_id, actor=ACTOR, mail=False)
    visit("viewer")
    assert "Needs the role operator" in web.get("/").text
    token = visit("operator")
    page = web.get("/").text
    assert f'href="/seen/run/{run_id}"' in page
    question = web.get(f"/seen/run/{run_id}").text
    expected = re.search(r'name="expected" value="(\w+)"', question)
    assert expected
    form = {"csrf_token": token, "expected": expected[1], "note": "<b>Mine</b>"}
    changed = web.post(f"/seen/run/{run_id}", data=form | {"expected": "0"})
    assert (changed.status_code, 'value="&lt;b&gt;Mine' in changed.text) == (422, True)
    page = web.post(f"/seen/run/{run_id}", data=form).text
    assert "It is marked as seen" in page
    assert "Quiet since" in page
    assert "1 thing that was seen" in page
    assert "Seen by operator@example.com" in page
    assert "&lt;b&gt;Mine&lt;/b&gt;" in page
    with app.database.write() as connection:
        connection.execute(text("UPDATE run SET error = 'another'"))
    page = web.get("/").text
    assert "Quiet since" not in page
    assert "that was seen" not in page


def test_those_that_nobody_has_seen_come_before_newer_ones_that_somebody_has(
    app: Application, web: TestClient, visit: Visit, company: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "FEW", 1)
    ids = [submit_run(app, "usage-rating", {}, actor=ACTOR).run_id for _ in range(2)]
    for run_id in ids:
        abort_run(app, run_id, actor=ACTOR, mail=False)
    shown = re.findall(r'id="needs-run-([^"]*)"', (visit("viewer"), web.get("/").text)[1])
    assert len(shown) == 1
    acknowledge(app, "run", shown[0], actor=ACTOR)
    assert set(re.findall(r'id="needs-run-([^"]*)"', web.get("/").text)) == set(ids)


def test_what_is_not_shown_of_what_needs_somebody_is_counted(
    app: Application, web: TestClient, visit: Visit, company: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "FEW", 1)
    monkeypatch.setattr(acknowledging, "LOOKED_AT", 2)
    ids = [submit_run(app, "usage-rating", {}, actor=ACTOR).run_id for _ in range(4)]
    for run_id in ids:
        abort_run(app, run_id, actor=ACTOR, mail=False)
    visit("viewer")
    told = "1 more failed or aborted run; 2 older failed or aborted runs, seen or not."
    assert f"Not shown: {told}" in web.get("/").text
    for run_id in ids[2:]:
        acknowledge(app, "run", run_id, actor=ACTOR)
    page = web.get("/").text
    assert "Not shown: 2 older failed or aborted runs, seen or not." in page
    assert ("2 things that were seen" in page, "At most 1 of each kind are shown" in page) == (True, True)
    for run_id in ids[:2]:
        change = f"UPDATE run SET created_at = '2020-01-01T00:00:00.000000Z' WHERE run_id = '{run_id}'"
        with app.database.write() as connection:
            connection.execute(text(change))
    assert "Not shown" not in web.get("/").text


def test_what_is_at_work_is_told_the_newest_first_with_what_it_has_done(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    ids = [submit_run(app, "usage-rating", {}, actor=ACTOR).run_id for _ in range(3)]
    with app.database.write() as connection:
        for minute, run_id in enumerate(ids):
            at = f"started_at = '2026-01-01T00:0{minute}:00.000000Z', total = 7"
            connection.execute(text(f"UPDATE run SET state = 'Processing', {at} WHERE run_id = '{run_id}'"))
    assert [run["run_id"] for run in list_at_work(app, 2, actor=ACTOR)] == ids[:0:-1]
    visit("viewer")
    now = web.get("/", headers={"X-Live-Region": "region_now"}).text
    assert re.findall(r'<tr id="now-([^"]*)"', now) == ids[::-1]
    assert now.count("0 of 7") == 3


def test_what_waits_says_why_and_the_next_fires_stand_by_two_clocks(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    waiting = submit_run(app, "usage-rating", {}, actor=ACTOR)
    request = ScheduleRequest(
        name="Nightly", cron="0 0 22 ? * *", job="usage-rating", time_zone="Europe/Berlin"
    )
    add_schedule(app, request, actor=ACTOR)
    visit("viewer")
    now = web.get("/", headers={"X-Live-Region": "region_now"}).text
    assert waiting.run_id in now
    assert "region_money" not in now
    coming = web.get("/", headers={"X-Live-Region": "region_next"}).text
    assert "20:00</time>" in coming
    assert "22:00</time>" in coming


def test_the_money_of_one_currency_is_shown_at_a_time_and_as_of_the_run_that_drafted(
    app: Application, web: TestClient, visit: Visit, drafted: str
) -> None:
    visit("viewer")
    currencies = {one["currency"] for one in forecast(app, actor=ACTOR)}
    for currency in sorted(currencies):
        page = web.get("/", params={"currency": currency}).text
        assert f"Draft beside rated in {currency}" in page
        assert f'Drafts as of run <a class="id" href="/runs/{drafted}"' in page
        amounts = set(re.findall(r'<span class="currency">(\w+)</span>', page))
        assert amounts == {currency}


@pytest.mark.parametrize("by", ["month", "customer", "product"])
def test_the_forecast_has_every_line_of_the_operation_in_its_currency(
    app: Application, web: TestClient, visit: Visit, drafted: str, by: Any
) -> None:
    visit("viewer")
    lines = forecast(app, by, actor=ACTOR)
    for currency in {one["currency"] for one in lines}:
        page = web.get("/forecast", params={"by": by, "currency": currency}).text
        mine = [one for one in lines if one["currency"] == currency]
        assert page.count('<td data-head="Rated"') == len(mine)
        assert page.count("not forecast</span>") == sum(one["draft_fee_amount"] is None for one in mine)
    file = web.get("/forecast.csv", params={"by": by}).text
    assert file.endswith(f"# {len(lines)} rows\r\n")
    assert file.count("\n") == len(lines) + 2


def test_months_can_be_bounded_and_what_is_no_month_is_refused(
    web: TestClient, visit: Visit, drafted: str
) -> None:
    visit("viewer")
    page = web.get("/forecast?from=2023-06&to=2023-06").text
    assert set(re.findall(r'<span class="nowrap">(\d{4}-\d\d)</span>', page)) <= {"2023-06"}
    assert "Clear the filter" in web.get("/forecast?from=2099-01").text
    assert web.get("/forecast?from=2023-13").status_code == 422
    assert web.get("/forecast?by=week").status_code == 422


def test_the_forecast_of_a_customer_a_product_and_some_months_is_shown_and_written_alike(
    app: Application, web: TestClient, visit: Visit, drafted: str
) -> None:
    token = visit("operator")
    only: dict[str, Any] = {"customer_id": "C-1001", "product": "Compute Hours"}
    lines = forecast(app, actor=ACTOR, since="2023-06", until="2023-06", **only)
    assert lines
    query = only | {"from": "2023-06", "to": "2023-06"}
    page = web.get("/forecast", params=query).text
    assert page.count('<td data-head="Rated"') == len(lines) == 1
    link = re.search(r'href="(/forecast\.csv[^"]*)"', page)
    assert link
    assert web.get(unescape(link[1])).text.endswith("# 1 rows\r\n")
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.partition("selections")[2]))
    assert (form["from"], form["before"], form["all"]) == ("2023-06-01", "2023-07-01", "true")
    form = {**form, "csrf_token": token, "status": ["Loaded", "Error"], "act": "draft-rate"}
    asks = web.post("/usage-inputs/selections", data=form).text
    assert re.search(r"Draft rate \d+ usage inputs?\?", asks)


def test_a_customer_of_the_forecast_leads_to_its_months_and_from_there_to_its_usage_inputs(
    web: TestClient, visit: Visit, drafted: str
) -> None:
    visit("viewer")
    page = web.get("/forecast?by=customer&from=2023-06&to=2023-06").text
    [months] = re.findall(r'href="([^"]+)">Harbour Light', page) or [""]
    shown = web.get(unescape(months))
    assert shown.request.url.query == b"from=2023-06&to=2023-06&customer_id=C-1001"
    assert '<span class="nowrap">2023-06</span>' in shown.text
    assert "/usage-inputs?customer_id=C-1001&amp;from=2023-06-01&amp;before=2023-07-01" in shown.text


def test_the_forecast_says_what_nobody_has_added_up_yet_and_follows_until_all_is_in(
    app: Application, web: TestClient, visit: Visit, drafted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit("viewer")
    monkeypatch.setattr(forecasts, "BLOCKS_OF_A_LOOK", 0)
    page = web.get("/forecast").text
    assert "Up to 500 assets are not in these figures yet" in page
    assert "No worker is there to add them up: start one with <code>batchwright worker</code>" in page
    for one in (page, web.get("/").text):
        assert "Nothing is forecast or rated yet" not in one
    file = web.get("/forecast.csv").text
    assert file.endswith("# 0 rows; up to 500 assets are not counted yet\r\n")
    Presence(app).beat()
    look = {"X-Live-Region": "region_figures"}
    assert "A worker is adding them up" in web.get("/forecast?by=product", headers=look).text
    while refresh_forecast(app):
        pass
    figures = web.get("/forecast?by=customer", headers=look).text
    assert ("data-live" in figures, "adding them up" in figures) == (False, False)
    assert figures.count("<tr>") > 1
    with app.database.write() as connection:
        forecast_blocks.mark_all_changed(connection)
    file = web.get("/forecast.csv").text
    assert re.search(
        r"# [1-9]\d* rows; up to 500 assets have changed and are counted as they were before\r\n$", file
    )


def test_a_filter_that_cannot_be_is_refused_beside_its_field(
    web: TestClient, visit: Visit, drafted: str
) -> None:
    visit("viewer")
    for query, field in (("customer_id=C-9", "customer_id"), ("from=2023-06&to=2023-05", "to")):
        answer = web.get(f"/forecast?by=product&{query}")
        assert (answer.status_code, f'href="#{field}"' in answer.text) == (422, True)


def test_a_chart_draws_negative_amounts_below_zero_and_no_bar_for_what_is_not_forecast() -> None:
    chart = chart_of([line("2026-01", None, "10.00"), line("2026-02", "-5.00", "0.00")], "month")
    assert chart is not None
    (only,), (draft, rated) = (group.bars for group in chart.groups)
    assert (only.kind, only.y, only.height) == ("rated", 0.0, 100.0)
    assert (draft.kind, draft.y, draft.height) == ("draft", 100.0, 50.0)
    assert rated.height == 0
    assert chart.groups[0].says == "2026-01: draft not forecast, rated 10.00"


def test_a_chart_of_nothing_is_none_and_one_of_much_has_the_newest() -> None:
    assert chart_of([line("2026-01", None, "0.00")], "month") is None
    chart = chart_of([line(f"{year}-01", "1.00", "1.00") for year in range(2000, 2040)], "month")
    assert chart is not None
    assert [len(chart.groups), chart.groups[-1].label] == [MOST, "2039-01"]
