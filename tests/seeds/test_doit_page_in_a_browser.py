"""DoiT's page *Billing utilities*: its sentences that speak of the screen, in its order, on the pages of the console.

Each test is named after what a sentence says, and does in a browser what it tells a reader to do. Beside it stands
`test_doit_page`, which tries the whole page by commands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from batchwright.engine.events import Event, RunPlanned
from batchwright.operations.access.users import set_password
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.testing.clock import FakeClock
from tests.console.browser.conftest import EMAIL, address, chromium, open_page
from tests.console.conftest import app
from tests.seeds.doit import CONTRACTS, CUSTOMERS, FILES, PRICES
from tests.support.application import ACTOR, NOW

__all__ = ["address", "app", "chromium", "open_page"]

Open = Callable[..., Page]
PASSWORD = "a long one for the console"
WHY = "The tiers of June were agreed in July. " * 9


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `app`: it stands until it is slept on."""
    return FakeClock(NOW)


@pytest.fixture(autouse=True)
def reseller(app: Application, tmp_path: Path) -> None:
    """Customer CU-1 with usage of May and June at 2 each, rated."""
    load(app, tmp_path / "company", FILES)
    drive_run(app, submit_run(app, "usage-rating", {}, actor=ACTOR).run_id, actor=ACTOR, mail=False)


def load(app: Application, folder: Path, files: Mapping[str, str], *, update: bool = False) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    import_paths(app, [folder], update=update, actor=ACTOR)


def recalculation(
    app: Application, *, drive: bool = True, error_ceiling: str | None = None, **more: Any
) -> str:
    """The id of a recalculation of June."""
    given = {"customer_id": "CU-1", "periods": ["2023-06"], "reason": "Incorrect Charges", **more}
    run = submit_run(app, "data-recalculation", given, actor=ACTOR, error_ceiling=error_ceiling).run_id
    if drive:
        drive_run(app, run, actor=ACTOR, mail=False)
    return run


def dialog_of(page: Page) -> Locator:
    """The dialog, opened from the card as the page tells."""
    operations = page.get_by_role("region", name="Operations")
    expect(operations.get_by_role("heading", name="Data recalculation")).to_be_visible()
    operations.get_by_role("link", name="Run recalculation").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Data recalculation")).to_be_visible()
    return dialog


def cells(page: Page, run: str) -> dict[str, str]:
    """The line of a run in the table, by the heads of its columns."""
    texts = page.locator(f"#{run} td").evaluate_all(
        "cells => cells.map(cell => [cell.dataset.head, cell.innerText.trim()])"
    )
    return dict(texts)


# To run a recalculation


def test_sign_in_to_the_console_select_billing_utilities_and_run_recalculation_on_its_card(
    app: Application, chromium: Browser, address: str
) -> None:
    set_password(app, EMAIL, PASSWORD, actor=ACTOR)
    context = chromium.new_context(base_url=address)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("navigation").get_by_role("link", name="Billing utilities").click()
    dialog_of(page)
    context.close()


def test_customer_the_list_shows_only_those_with_an_active_contract_and_a_linked_account(
    app: Application, open_page: Open, tmp_path: Path
) -> None:
    more = {
        "customers.csv": CUSTOMERS + "CU-NO-ACCOUNT,Bare\nCU-NO-CONTRACT,Gone\n",
        "contracts.csv": CONTRACTS + "CO-2,CU-NO-ACCOUNT,PB-1,2023-01-01,,Active,,\n",
    }
    load(app, tmp_path / "more", more)
    dialog = dialog_of(open_page("/billing-utilities"))
    expect(dialog.locator(".picks a")).to_have_count(1)
    expect(dialog.locator(".picks a")).to_contain_text("End customer CU-1")
    dialog.get_by_text("2 customers not in the list").click()
    expect(dialog.locator("details")).to_contain_text("no account is under its active contracts")
    expect(dialog.locator("details")).to_contain_text("no contract is active today")


def test_billing_periods_are_past_ones_under_the_contract_and_one_or_more_are_selected(
    open_page: Open,
) -> None:
    dialog = dialog_of(open_page("/billing-utilities"))
    dialog.get_by_role("link", name="End customer").click()
    periods = dialog.get_by_role("group", name="Billing periods").get_by_role("checkbox")
    expect(periods).to_have_count(6)  # it is 1 July, and the contract began on 1 January
    assert periods.evaluate_all("boxes => boxes.map(box => box.value)")[0::5] == ["2023-06", "2023-01"]
    periods.nth(0).check()
    periods.nth(1).check()
    expect(periods.nth(0)).to_be_checked()


def test_reason_other_opens_an_explanation_which_is_optional_and_run_data_recalculation_submits_it(
    app: Application, open_page: Open
) -> None:
    page = open_page("/billing-utilities")
    dialog = dialog_of(page)
    dialog.get_by_role("link", name="End customer").click()
    dialog.get_by_label("2023-06").check()
    for reason in ("Credit and adjustment issues", "Incorrect Charges"):
        dialog.get_by_label(reason).check()
        expect(dialog.get_by_label("Explanation")).to_be_hidden()
    dialog.get_by_label("Other").check()
    expect(dialog.get_by_label("Explanation")).to_be_visible()
    dialog.get_by_role("button", name="Run data recalculation").click()
    expect(page).to_have_url(re.compile(r"/runs/JR-00000002"))
    page.goto("/runs")
    expect(page.locator("#JR-00000002")).to_contain_text("Other")


# Monitor progress


def test_each_entry_of_run_queue_and_log_has_the_columns_of_the_table(
    app: Application, open_page: Open
) -> None:
    run = recalculation(app, periods=["2023-05", "2023-06"])
    page = open_page("/runs")
    expect(page.get_by_role("heading", name="Run queue & log")).to_be_visible()
    shown = cells(page, run)
    assert shown.pop("#Duration", shown.pop("Duration", "")) != ""
    assert shown.pop("") == ""  # the box that ticks the run
    assert shown == {
        "Job ID": run,
        "Type": "Recalc",
        "Status": "Complete",
        "Customer": "CU-1",
        "Period": "2023-05 to 2023-06",
        "Reason": "Incorrect Charges",
        "Actor": ACTOR.name,
        "Started UTC": "2023-07-01 08:30",
    }


def test_the_table_continues_to_refresh_while_a_job_is_running_and_shows_when_it_is_complete(
    app: Application, open_page: Open
) -> None:
    run = recalculation(app, drive=False)
    page = open_page("/runs")
    badge = page.locator(f"#{run} .badge")
    seen: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, RunPlanned) and event.run_id == run:
            badge.filter(has_text="Running").wait_for(timeout=15_000)
            seen.append(badge.inner_text())

    app.events.subscribe(listen)
    drive_run(app, run, actor=ACTOR, mail=False)
    assert seen == ["Running"]
    expect(badge).to_have_text("Complete", timeout=15_000)
    expect(page.locator("#region_runs")).not_to_have_attribute("data-live", re.compile(""))


def test_select_the_failed_badge_to_review_the_error_message(
    app: Application, open_page: Open, tmp_path: Path
) -> None:
    prices = {"prices.csv": PRICES + "PB-1,data,2023-01-01,per_unit,Hour,3\n"}
    load(app, tmp_path / "prices", prices, update=True)
    run = recalculation(app, error_ceiling="0")
    page = open_page("/runs")
    page.locator(f"#{run}").get_by_role("link", name="Failed").click()
    expect(page.get_by_role("dialog")).to_contain_text("error ceiling")


def test_if_the_reason_is_other_select_it_to_view_the_full_explanation(
    app: Application, open_page: Open
) -> None:
    run = recalculation(app, reason="Other", explanation=WHY)
    page = open_page("/runs")
    page.locator(f"#{run}").get_by_role("link", name="Other").click()
    expect(page.get_by_role("dialog")).to_contain_text(WHY.strip())


def test_by_default_jobs_are_sorted_by_start_time_with_the_most_recent_first(
    app: Application, clock: FakeClock, open_page: Open
) -> None:
    first, second = (recalculation(app, drive=False, periods=[month]) for month in ("2023-05", "2023-06"))
    for run in (second, first):
        clock.sleep(60)
        drive_run(app, run, actor=ACTOR, mail=False)
    rows = open_page("/runs").locator(".rows tbody tr")
    assert rows.evaluate_all("rows => rows.map(row => row.id)")[:2] == [first, second]
