"""The form of a schedule in a real browser: its times while one types, and typing that stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from batchwright.operations.app import Application
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.schedules import list_schedules
from tests.console.browser.site import cut
from tests.support.application import ACTOR

Opener = Callable[..., Page]


def test_the_times_follow_what_is_typed_and_the_focus_stays_in_the_field(
    app: Application, open_page: Opener
) -> None:
    page = open_page("/new-schedule?job=draft-usage-rating", width=375)
    page.get_by_label("Name").fill("Nightly")
    when = page.get_by_label("When")
    when.press_sequentially("0 22 * * 1-5")
    region = page.locator("#region_times")
    expect(region).to_contain_text("Crontab line")
    expect(region).to_contain_text("At 22:00")
    expect(when).to_be_focused()
    when.fill("0 0 25 ? * *")
    expect(region).to_contain_text("25 is not from 0 to 23")
    when.fill("@daily")
    expect(region).to_contain_text("At 00:00 every day")
    assert "form_key" not in page.url
    assert cut(page) == []
    page.get_by_role("button", name="Make the schedule").click()
    expect(page.get_by_role("status").first).to_contain_text("The schedule is saved")
    assert [one["name"] for one in list_schedules(app, actor=ACTOR)] == ["Nightly"]
    assert cut(page) == []


@pytest.mark.long
def test_a_minute_beside_runs_at_work_leaves_what_is_half_typed_where_it_is(
    app: Application, open_page: Opener, seed: None
) -> None:
    page = open_page("/jobs")
    page.clock.install()
    page.goto("/new-schedule?job=draft-usage-rating")
    page.evaluate("window.began = performance.now()")
    page.get_by_label("Name").fill("Nightly dra")
    when = page.get_by_label("When")
    when.fill("0 22 * * 1-")
    page.evaluate("document.getElementById('cron').setSelectionRange(2, 4)")
    held = "({ id, value, selectionStart, selectionEnd }) => [id, value, selectionStart, selectionEnd]"
    for _ in range(30):
        run = submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
        page.clock.run_for(2_000)
        abort_run(app, run.run_id, actor=ACTOR, mail=False)
        assert page.evaluate(f"({held})(document.activeElement)") == ["cron", "0 22 * * 1-", 2, 4]
        assert page.get_by_label("Name").input_value() == "Nightly dra"
    assert page.evaluate("performance.now() - began") >= 60_000
    page.keyboard.type("23")
    page.clock.run_for(1_000)
    expect(page.locator("#region_times")).to_contain_text("1-")
    assert page.evaluate(f"({held})(document.activeElement)") == ["cron", "0 23 * * 1-", 4, 4]
    page.keyboard.press("End")
    page.keyboard.type("5")
    page.clock.run_for(1_000)
    expect(page.locator("#region_times")).to_contain_text("At 23:00")
    expect(when).to_be_focused()
