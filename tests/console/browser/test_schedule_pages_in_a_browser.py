"""The form of a schedule in a real browser: its times while one types, and typing that stays."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from batchwright.operations.app import Application
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
