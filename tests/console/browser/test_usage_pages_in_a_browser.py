"""The pages of usage inputs and assets as a person meets them: selecting, processing, by keyboard, on a phone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from batchwright.operations.app import Application
from batchwright.operations.billing import forecast as forecasts
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.usage_inputs import list_usage_inputs, show_usage_input
from batchwright.operations.runs.driving import drive_run, drive_submitted
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.runs.submitting import submit_run
from tests.console.browser.site import cut
from tests.support.application import ACTOR
from tests.support.rungs import depth
from tests.support.seed_table import FILES

JUNE = "IN-00007052"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PATHS = (
    "/usage-inputs",
    "/usage-inputs?status=Rated",
    "/usage-inputs/add",
    f"/usage-inputs/{JUNE}",
    f"/usage-inputs/{JUNE}/edit",
    f"/usage-inputs/{JUNE}/rate",
    f"/usage-inputs/{JUNE}/history",
    "/asset-line-items",
    "/asset-line-items/AL-1",
    "/asset-line-items/AL-1/amend",
    "/asset-line-items/AL-1/amend?billing_frequency=Monthly&foresee=true",
)
Open = Callable[..., Page]


@pytest.fixture
def many(app: Application, tmp_path: Path) -> int:
    """So many inputs of an asset, each of 1 of June, beside one that is not of June."""
    number = depth(230, 12_431)
    head, *_ = FILES["usage_inputs.csv"].splitlines()
    rows = [f"IN-9{place:07},AL-1,2023-06-05,1,Each" for place in range(number)]
    written = {**FILES, "usage_inputs.csv": "\n".join([head, *rows, "IN-1,AL-1,2023-07-01,1,Each", ""])}
    folder = tmp_path / "many"
    folder.mkdir()
    for name, text in written.items():
        (folder / name).write_text(text)
    import_paths(app, [folder], actor=ACTOR)
    return number


def drafted(app: Application) -> Counter[bool]:
    """How many inputs have a draft amount, and how many have none."""
    return Counter(one["draft_rated_amount"] is not None for one in list_usage_inputs(app, actor=ACTOR))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_on_a_phone_or_with_large_text(
    app: Application, open_page: Open, seed: None, scheme: str
) -> None:
    page = open_page(f"/usage-inputs/{JUNE}/edit", scheme=scheme)
    page.get_by_label("Description").fill(HOSTILE)
    page.get_by_role("button", name="Save").click()
    page.goto(f"/usage-inputs/{JUNE}/draft-rate")
    page.get_by_role("button", name="Draft rate").click()
    for path in PATHS:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(path)
        found = Axe().run(page)
        assert not found.response["violations"], (path, found.generate_report())
        for width, size in ((375, "100%"), (375, "200%"), (1440, "200%")):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
            assert cut(page) == [], (path, width, size)


def test_a_phone_shows_of_an_input_in_the_list_what_it_is_its_day_its_amounts_and_its_status(
    open_page: Open, seed: None
) -> None:
    cells = open_page("/usage-inputs", width=375).locator(".rows tbody tr").first.locator("td:visible")
    heads = set(cells.evaluate_all("cells => cells.map(cell => cell.dataset.head)"))
    assert {"Input id", "Usage Date", "Status"} <= heads
    assert heads <= {"", "Input id", "Usage Date", "Status", "Rated Amount", "(Draft) Rated Amount"}


def test_another_filter_clears_what_is_ticked_and_the_page_says_so(open_page: Open, seed: None) -> None:
    page = open_page("/usage-inputs")
    sentence = page.get_by_text("what was ticked before is not selected any more")
    page.locator(".filter summary").click()
    page.get_by_label("Status", exact=True).select_option("Loaded")
    for way in (page.get_by_role("button", name="Apply"), page.get_by_role("link", name="Clear")):
        page.get_by_label(f"Select {JUNE}").check()
        way.click()
        expect(sentence).to_be_visible()
        assert page.locator("input[type=checkbox]:checked").count() == 0
        assert "done=" not in page.url
    page.locator(".filter summary").click()
    page.get_by_label("Status", exact=True).select_option("Loaded")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile(r"/usage-inputs\?status=Loaded$"))
    expect(sentence).to_have_count(0)  # nothing was ticked
    page.get_by_label("Status", exact=True).select_option("Rated")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/usage-inputs?status=Rated")
    page.go_back()
    expect(page.get_by_label("Status", exact=True)).to_have_value("Loaded")  # as the address says


def test_200_of_a_filter_are_selected_and_drafted_and_then_all_that_match(
    app: Application, open_page: Open, many: int
) -> None:
    page = open_page("/usage-inputs?before=2023-07-01&limit=200")
    page.get_by_label("Select all of this page").check()
    expect(page.get_by_text("200 ticked:")).to_be_visible()
    page.get_by_role("button", name="Draft rate …").click()
    expect(page.get_by_role("heading", name="Draft rate 200 usage inputs?")).to_be_visible()
    expect(page.get_by_text("of 1 asset line item")).to_be_visible()
    page.get_by_role("button", name="Draft rate 200 usage inputs").click()
    expect(page.get_by_text("200 of 200 records")).to_be_visible()
    assert drafted(app)[True] == 200
    page.goto("/usage-inputs?before=2023-07-01&sums=true")
    page.get_by_label(f"Select all {many:,} that match the filter").check()
    page.get_by_role("button", name="Draft rate …").click()
    page.get_by_role("button", name=f"Draft rate {many:,} usage inputs").click()
    page.wait_for_url("**/runs/JR-*")
    newest = next(iter(list_runs(app, 1, actor=ACTOR)))
    if newest["status"] != "Completed":
        drive_run(app, newest["run_id"], mail=False)
    assert drafted(app) == {True: many, False: 1}


def test_count_and_sums_come_by_themselves_and_a_ticked_box_stays(
    app: Application, open_page: Open, seed: None
) -> None:
    page = open_page("/usage-inputs")
    page.get_by_label("Select all that match").check()
    expect(page.get_by_text("2 usage inputs", exact=True)).to_be_visible()
    expect(page.get_by_label("Select all 2 that match")).to_be_checked()


def test_sums_of_many_go_on_by_themselves_and_a_ticked_box_stays(
    app: Application, open_page: Open, seed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwright.operations.billing.selections.STRETCH", 1)
    for name in ("PART_SECONDS", "UNASKED_SECONDS"):
        monkeypatch.setattr(f"batchwright.console.pages.routes.usage_inputs.{name}", 0.0)
    page = open_page("/usage-inputs")
    held: list[Route] = []
    page.route("**/*sums_after*", lambda route: held.append(route), times=1)
    with page.expect_request("**/*sums_after*"):
        page.get_by_role("link", name="Count and sum up all").click()
    page.get_by_label("Select all that match").check()  # while the next part is under way
    held[0].continue_()
    expect(page.locator("#region_sums")).to_have_attribute("data-says", "2 usage inputs counted")
    expect(page.get_by_label("Select all 2 that match")).to_be_checked()
    assert page.locator("[data-on]").count() == 0
    assert "sums_after" not in page.url


def test_the_forecast_follows_until_a_worker_has_added_all_up_and_leaves_what_is_typed(
    app: Application, open_page: Open, seed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive_submitted(app, submit_run(app, "draft-usage-rating", {}, actor=ACTOR, claim=True), mail=False)
    monkeypatch.setattr(forecasts, "BLOCKS_OF_A_LOOK", 0)
    page = open_page("/forecast")
    expect(page.get_by_text("assets are not in these figures yet")).to_be_visible()
    assert not Axe().run(page).response["violations"]
    page.get_by_text("Filter").click()
    page.get_by_label("Product").fill("Compu")
    while forecasts.refresh_forecast(app):
        pass
    expect(page.get_by_role("table", name="Forecast in")).to_be_visible()
    expect(page.get_by_text("assets are not in these figures yet")).to_have_count(0)
    expect(page.locator("[data-live]")).to_have_count(0)
    expect(page.locator("#spoken")).to_have_text("All amounts are added up")
    expect(page.get_by_label("Product")).to_be_focused()
    expect(page.get_by_label("Product")).to_have_value("Compu")


def test_an_input_is_drafted_and_processed_from_its_page(
    app: Application, open_page: Open, seed: None
) -> None:
    page = open_page(f"/usage-inputs/{JUNE}")
    page.get_by_role("link", name="Draft rate").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name=f"Draft rate {JUNE}?")).to_be_visible()
    expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Draft rate").click()
    expect(page.get_by_text("The usage input was draft rated.")).to_be_visible()
    page.get_by_role("link", name="Process Usage Input").click()
    dialog.get_by_role("button", name="Process Usage Input").click()
    expect(page.get_by_text("it is rated")).to_be_visible()
    expect(page.get_by_role("table", name="History")).to_contain_text("4,000.00")
    assert show_usage_input(app, JUNE, actor=ACTOR)["rated_amount"] == "4000.00"


def test_rows_are_selected_and_sent_by_keyboard_alone(app: Application, open_page: Open, seed: None) -> None:
    page = open_page("/usage-inputs")
    for key in ("j", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name=JUNE)).to_be_visible()
    page.go_back()
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.get_by_text("2 ticked:")).to_be_visible()
    page.get_by_role("button", name="Process Usage Input …").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Process 2 usage inputs?")).to_be_visible()
    page.get_by_role("button", name="Process 2 usage inputs").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/JR-*")
    assert {one["status"] for one in list_usage_inputs(app, actor=ACTOR)} == {"Rated"}


def test_an_asset_is_amended_after_it_was_shown_what_that_does(
    app: Application, open_page: Open, seed: None
) -> None:
    page = open_page("/asset-line-items/AL-1")
    page.get_by_role("link", name="Amend").click()
    page.get_by_label("Billing Frequency").select_option("Quarterly")
    page.get_by_role("button", name="Show what it does").click()
    expect(page.get_by_text("Half Yearly → Quarterly")).to_be_visible()
    page.get_by_role("button", name="Amend just so").click()
    expect(page.get_by_text("The asset line item was amended.")).to_be_visible()
    expect(page.get_by_text("2 superseded billing schedules")).to_be_visible()
