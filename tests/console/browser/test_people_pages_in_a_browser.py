"""Mail, users and audit in a real browser: axe, narrow screens, and the frame of a message."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import text

from batchwright.billing import sample
from batchwright.operations.access import audit_trail
from batchwright.operations.access.sealing import seal_committed
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from tests.console.browser.site import cut
from tests.support.application import ACTOR

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
Open = Callable[..., Page]
PAGES = ("/mail/ML-00000001", "/users/jane@example.com", "/audit")


@pytest.fixture
def filled(app: Application) -> None:
    """The sample company, a run with its mail, and a user."""
    import_paths(app, [sample.folder()], actor=ACTOR)
    run = submit_run(app, "draft-usage-rating", {}, actor=ACTOR, mode="batch")
    drive_submitted(app, run, mail=False)
    add_user(app, "jane@example.com", "operator", actor=ACTOR)


def test_nothing_is_cut_on_a_phone_and_axe_finds_nothing(filled: None, open_page: Open) -> None:
    for path in PAGES:
        page = open_page(path, width=375)
        assert cut(page) == [], path
        assert Axe().run(page).response["violations"] == [], path


def test_a_message_is_shown_in_its_frame_and_a_link_in_it_leads_nowhere(
    filled: None, open_page: Open
) -> None:
    page = open_page("/mail/ML-00000001")
    frame = page.frame_locator("iframe.letter")
    assert "Draft usage rating" in frame.locator("h1").inner_text()
    assert page.locator("iframe.letter").get_attribute("sandbox") == ""


def test_the_chain_is_checked_to_its_end_and_keeps_what_its_first_part_found(
    app: Application, filled: None, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "PORTION", 1)
    monkeypatch.setattr(audit_trail, "PART_SECONDS", -1.0)
    assert seal_committed(app) > 2
    with app.database.write() as connection:
        connection.execute(text("UPDATE audit_entry SET reason = 'another' WHERE id = 1"))
    page = open_page("/audit/verify", width=375)
    expect(page.locator("#region_chain")).to_have_attribute("data-says", "Checked: 1 problem")
    expect(page.get_by_text("entry 1 is not as it was sealed")).to_be_visible()
    assert page.locator("[data-on]").count() == 0
    assert page.url.endswith("/audit/verify")
    assert cut(page) == []
    assert Axe().run(page).response["violations"] == []
