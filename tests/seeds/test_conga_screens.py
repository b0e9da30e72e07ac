"""The sentences of the vendor's page that speak of a screen, each in a real browser, in the page's order.

The rest of "Working with Draft Usage Rating" is in `test_conga_page.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from batchwright.operations.app import Application
from tests.console.browser.conftest import address, chromium, open_page
from tests.seeds import conga
from tests.seeds.conftest import Batchwright, Load
from tests.seeds.conga import JULY, JUNE, PLANTED

__all__ = ["address", "chromium", "open_page"]

Open = Callable[..., Page]

BLANK = "\N{EN DASH}"
ASSET = "/asset-line-items/AL-1"
DRAFTED = {JUNE: ("Loaded", None, "4000.00"), JULY: ("Loaded", None, "2000.00")}
RATED = {JUNE: ("Rated", "4000.00", "4000.00"), JULY: ("Rated", "2000.00", "2000.00")}


@pytest.fixture
def screens(app: Application, batchwright: Batchwright, load: Load, open_page: Open) -> Page:
    """A browser on the page's company, before anything was rated."""
    load(PLANTED)
    return open_page("/usage-inputs")


def table(screen: Page, name: str) -> list[tuple[str, ...]]:
    """The rows of a table, as they are to be read, "" for a blank; without the column of boxes."""
    rows = screen.get_by_role("table", name=name, exact=True).locator("tbody tr").all()
    read = [
        [text.strip().removeprefix(BLANK) for text in row.locator("td:not([data-head=''])").all_inner_texts()]
        for row in rows
    ]
    return [tuple(row) for row in read]


def act(screen: Page, words: str, an_id: str) -> None:
    """Press a button of the page of an input, and confirm."""
    screen.goto(f"/usage-inputs/{an_id}")
    screen.get_by_role("link", name=words, exact=True).click()
    screen.get_by_role("dialog").get_by_role("button", name=words).click()
    expect(screen.get_by_role("status").filter(has_text="The usage input was")).to_be_visible()


def act_on_all(screen: Page, words: str, confirmed: str | None = None) -> None:
    """Tick every input of the list view, press a button, and confirm."""
    screen.goto("/usage-inputs")
    screen.get_by_label("Select all of this page").check()
    screen.get_by_role("button", name=f"{words} …").click()
    screen.get_by_role("button", name=f"{confirmed or words} 2 usage inputs").click()
    screen.wait_for_url("**/runs/JR-*")


# --- Working with Draft Usage Rating ------------------------------------------------------------------------------


def test_this_helps_to_edit_the_quantity_and_add_more_inputs_before_the_actual_rating(
    app: Application, screens: Page
) -> None:
    act(screens, "Draft rate", JULY)
    screens.get_by_role("link", name="Edit").click()
    screens.get_by_label("Quantity").fill("15")
    screens.get_by_role("button", name="Save").click()
    expect(screens.get_by_text("15.00 Each")).to_be_visible()
    screens.goto(ASSET)
    screens.get_by_role("link", name="Add usage input").click()
    for label, value in (("Usage Date", "2023-06-20"), ("Quantity", "5"), ("Product UOM", "Each")):
        screens.get_by_label(label).fill(value)
    screens.get_by_role("button", name="Add usage input").click()
    expect(screens.get_by_text("The usage input was added.")).to_be_visible()
    assert len(conga.inputs(app)) == 3


# --- Processing Draft Usage Rating: single usage input ------------------------------------------------------------


def test_a_single_usage_input_is_processed_from_the_usage_input_detail_page(
    app: Application, screens: Page
) -> None:
    act(screens, "Draft rate", JUNE)
    assert conga.inputs(app) == {JUNE: DRAFTED[JUNE], JULY: ("Loaded", None, None)}


def test_the_usage_inputs_related_list_and_the_usage_schedules_show_the_draft_as_the_tables_do(
    screens: Page,
) -> None:
    act_on_all(screens, "Draft rate")
    screens.goto(ASSET)
    assert table(screens, "Usage inputs") == [
        (JUNE, "akdsjs", "Loaded", "20.00", "", "2023-06-05", "Each", "4,000.00 USD"),
        (JULY, "akdsjs", "Loaded", "10.00", "", "2023-07-08", "Each", "2,000.00 USD"),
    ]
    days = ("2023-06-01", "2023-06-30"), ("2023-07-01", "2023-07-31")
    assert table(screens, "Usage schedules") == [
        (
            *("US-00008316", "0.00 USD", "BS-01311820", "0.00", *days[0]),
            *("Pending Billing", "Usage", "20.00", "4,000.00 USD", ""),
        ),
        (
            *("US-00008317", "0.00 USD", "BS-01311821", "0.00", *days[1]),
            *("Pending Billing", "Usage", "10.00", "2,000.00 USD", ""),
        ),
    ]


def test_click_process_usage_input_and_the_forecasted_amount_is_in_the_rated_amount_field_and_to_be_billed(
    app: Application, screens: Page
) -> None:
    act(screens, "Draft rate", JUNE)
    act(screens, "Process Usage Input", JUNE)
    assert conga.inputs(app)[JUNE] == RATED[JUNE]
    screens.goto(ASSET)
    fees = [row[3] for row in table(screens, "Billing schedules")]
    assert fees == ["4,000.00 USD", "0.00 USD"]


# --- Through the usage input list view ----------------------------------------------------------------------------


def test_multiple_usage_inputs_in_rated_or_loaded_status_are_draft_rated_at_once_from_the_list_view(
    app: Application, screens: Page
) -> None:
    act(screens, "Process Usage Input", JUNE)
    act_on_all(screens, "Draft rate")
    assert conga.inputs(app) == {JUNE: RATED[JUNE], JULY: DRAFTED[JULY]}
    screens.goto(ASSET)
    drafts = [row[8:10] for row in table(screens, "Usage schedules")]
    assert drafts == [("20.00", "4,000.00 USD"), ("10.00", "2,000.00 USD")]


def test_old_forecasted_data_is_overwritten_by_the_next_forecast_run_and_the_screen_says_so_before(
    screens: Page,
) -> None:
    act_on_all(screens, "Draft rate")
    screens.goto("/usage-inputs")
    screens.get_by_label(f"Select {JULY}").check()
    screens.get_by_role("button", name="Draft rate …").click()
    expect(
        screens.get_by_text("is overwritten, and only the chosen inputs are in the new one")
    ).to_be_visible()


def test_once_satisfied_the_inputs_of_the_list_view_are_processed_and_their_billing_schedules_reflect_it(
    app: Application, screens: Page
) -> None:
    act_on_all(screens, "Draft rate")
    act_on_all(screens, "Process Usage Input", "Process")
    assert conga.inputs(app) == RATED
    screens.goto(ASSET)
    assert [row[3] for row in table(screens, "Billing schedules")] == ["4,000.00 USD", "2,000.00 USD"]


# --- Effect of Asset Amendment on Forecasted Usage Input ----------------------------------------------------------


def test_amend_the_asset_line_and_schedules_are_superseded_new_ones_created_and_drafts_set_to_zero(
    screens: Page,
) -> None:
    act_on_all(screens, "Draft rate")
    screens.goto(ASSET)
    screens.get_by_role("link", name="Amend").click()
    screens.get_by_role("button", name="Show what it does").click()
    screens.get_by_role("button", name="Amend just so").click()
    screens.get_by_text("2 superseded billing schedules").click()
    screens.get_by_text("2 superseded usage schedules").click()
    old = [(row[0], *row[6:]) for row in table(screens, "Superseded billing schedules")]
    assert old == [("BS-01311820", "Superseded", "Yes"), ("BS-01311821", "Superseded", "Yes")]
    new = [row[1:3] + row[6:] for row in table(screens, "Billing schedules")]
    assert new == [
        ("2023-01-01", "2023-06-30", "Pending Billing", ""),
        ("2023-07-01", "2023-12-31", "Pending Billing", ""),
    ]
    kept = [(row[0], row[6], *row[9:]) for row in table(screens, "Superseded usage schedules")]
    assert kept == [
        ("US-00008316", "Superseded", "4,000.00 USD", "Yes"),
        ("US-00008317", "Superseded", "2,000.00 USD", "Yes"),
    ]
    assert {row[9] for row in table(screens, "Usage schedules")} == {""}
    amounts = [(row[4], row[7]) for row in table(screens, "Usage inputs")]
    assert amounts == [("0.00 USD", "0.00 USD")] * 2
