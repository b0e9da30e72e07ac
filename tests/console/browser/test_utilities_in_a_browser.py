"""Billing utilities and the launch form as a person meets them: the dialog, a preview applied, a job of one's own."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from batchwright.billing import sample
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.runs.driving import drive_run, drive_submitted
from batchwright.operations.runs.looking import list_runs, show_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.testing.clock import StandingClock
from tests.console.browser.site import cut
from tests.support.application import ACTOR, NOW, make_settings

Open = Callable[..., Page]

THIRTY_LINES = '''
from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from batchwright.engine import BatchJob, Record


class Letters(BaseModel):
    day: date = Field(description="The day of <b>posting</b>.")
    to: list[str] = Field(description="Who gets one")
    kind: Literal["plain", "express"] = "plain"
    signed: bool = True


class PostLetters(BatchJob):
    """Posts letters."""

    name, type, record_noun = "post-letters", "Letter posting", "letter"
    Parameters = Letters

    def start(self, context):
        return [Record(number) for number in range(len(self.parameters.to))]

    def count(self, context, at_most):
        return len(self.parameters.to)

    def execute(self, scope):
        for number in scope.keys:
            if "@" not in self.parameters.to[number]:
                scope.error(number, "no_address", f"{self.parameters.to[number]} is no address")
'''


@pytest.fixture
def app(migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """An application with the sample company, rated, and a job from a folder of its author's."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thirty_lines.py").write_text(THIRTY_LINES, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "own"))
    settings = make_settings(migrated_url, tmp_path, jobs=["thirty_lines:PostLetters"], label="Production")
    made = make_application(settings, clock=StandingClock(NOW))
    import_paths(made, [sample.folder()], actor=ACTOR)
    drive_submitted(made, submit_run(made, "usage-rating", {}, actor=ACTOR, mode="batch"), mail=False)
    yield made
    made.close()
    sys.modules.pop("thirty_lines", None)


def newest(app: Application) -> str:
    return str(list_runs(app, actor=ACTOR)[0]["run_id"])


def test_data_is_recalculated_through_the_dialog_after_its_preview_was_looked_at_and_applied(
    app: Application, open_page: Open, tmp_path: Path
) -> None:
    before = {row["usage_input_id"]: row["rated_amount"] for row in list_usage_inputs(app, actor=ACTOR)}
    contract = (
        "contract_id,customer_id,price_book_id,start_date,end_date,status,discount_percent,account_ids\n"
    )
    (tmp_path / "contracts.csv").write_text(
        contract + "CT-AG-2023,C-1002,PB-EU-2023,2023-01-01,,Active,50,AG-WIEN;AG-ZUERICH\n"
    )
    import_paths(app, [tmp_path / "contracts.csv"], update=True, actor=ACTOR)
    page = open_page("/billing-utilities")
    page.get_by_role("link", name="Run recalculation").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Data recalculation")).to_be_visible()
    expect(dialog).to_contain_text("Production")
    dialog.get_by_label("Customer").fill("alpen")
    expect(dialog.get_by_role("link", name="Harbour Light")).to_have_count(0)
    dialog.get_by_role("link", name="Alpenglow").click()
    dialog.get_by_label("2023-06").check()
    dialog.get_by_label("2023-05").check()
    expect(dialog.get_by_label("Explanation")).to_be_hidden()
    dialog.get_by_label("Other").check()
    dialog.get_by_label("Explanation").fill("Agreed on the phone")
    dialog.get_by_role("button", name="Preview the difference").click()

    expect(page).to_have_url(re.compile(r"/runs/JR-\d+"))
    preview = newest(app)
    drive_run(app, preview, actor=ACTOR, mail=False)
    assert show_run(app, preview, actor=ACTOR)["explanation"] == "Agreed on the phone"
    difference = show_run(app, preview, actor=ACTOR)["totals"]["difference"]["EUR"]
    assert float(difference) < 0
    page.goto(f"/runs/{preview}/preview")
    expect(page.locator(".figures")).to_contain_text("Difference")
    page.get_by_role("link", name="Apply exactly this").click()
    dialog.get_by_label(f"Type {preview} to confirm").fill(preview)
    dialog.get_by_role("button", name="Apply exactly this").click()
    expect(page).to_have_url(re.compile(r"done=applied|/runs/JR-00000003"))
    applied = newest(app)
    assert applied != preview
    drive_run(app, applied, actor=ACTOR, mail=False)
    assert show_run(app, applied, actor=ACTOR)["totals"]["difference"]["EUR"] == difference
    after = {row["usage_input_id"]: row["rated_amount"] for row in list_usage_inputs(app, actor=ACTOR)}
    assert before != after


def test_a_job_of_thirty_lines_from_a_folder_outside_is_launched_by_its_form(
    app: Application, open_page: Open
) -> None:
    assert len(THIRTY_LINES.strip().splitlines()) <= 35
    page = open_page("/jobs")
    page.get_by_role("link", name="Launch Letter posting").click()
    expect(page.locator("#main")).to_contain_text("The day of <b>posting</b>")
    equals = page.locator("#region_equals")
    page.get_by_label("Day").fill("2023-06-30")
    page.locator("[id='p.to']").fill("a@example.com\nnobody")
    page.get_by_label("express").check()
    page.get_by_label("Signed").uncheck()
    expect(equals).to_contain_text("2 letters", timeout=10_000)
    expect(equals).to_contain_text("--param kind=express")
    expect(page).to_have_url(re.compile("p.day=2023-06-30"))
    shared = page.url
    page.goto(shared)
    expect(page.get_by_label("express")).to_be_checked()
    page.get_by_label("Signed").uncheck()
    page.get_by_role("button", name="Launch").click()
    expect(page).to_have_url(re.compile(r"/runs/JR-\d+"))
    run = show_run(app, newest(app), actor=ACTOR)
    assert (run["job"], run["trigger"]) == ("post-letters", "console")
    assert run["parameters"] == {
        "day": "2023-06-30",
        "to": ["a@example.com", "nobody"],
        "kind": "express",
        "signed": False,
    }
    drive_run(app, run["run_id"], actor=ACTOR, mail=False)
    expect(page.locator("#main")).to_contain_text("1 error", timeout=15_000)


PATHS = (
    "/jobs",
    "/jobs/post-letters/launch?p.day=2023-06-30&p.to=a",
    "/jobs/draft-usage-rating/launch",
    "/billing-utilities",
    "/billing-utilities/recalculation",
    "/billing-utilities/recalculation?customer_id=C-1001&reason=Other",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut(open_page: Open, scheme: str) -> None:
    page = open_page("/jobs", scheme=scheme)
    for there in PATHS:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(there)
        found = Axe().run(page)
        assert not found.response["violations"], (there, found.generate_report())
        for width, size in ((375, "100%"), (375, "200%"), (1440, "200%")):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
            assert cut(page) == [], (there, width, size)
