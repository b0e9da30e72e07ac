"""Every page in a real browser, those that come later too: script in every text, axe, a phone, large text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from batchwright.operations.app import Application
from tests.console.browser.site import clipped, cut, site
from tests.console.pages_there_are import pages_there_are
from tests.support.rungs import depth

NO_PAGES = (".csv", "/mail/{mail_id}/message")
"""How the paths of files end, and of what a page shows in a frame of its own."""


@pytest.fixture
def app(furnished_app: Application) -> Application:
    """With something behind every page."""
    return furnished_app


@pytest.fixture
def address(app: Application) -> Iterator[str]:
    """Where the site of `app` answers, whose administrator is there already."""
    with site(app) as url:
        yield url


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheme", depth(["light"], ["light", "dark"]))
def test_no_page_runs_script_that_people_wrote_fails_axe_or_cuts_anything(
    open_page: Callable[..., Page], selection: str, scheme: str
) -> None:
    page = open_page("/jobs", scheme=scheme)  # dialogs and what the console says fail it at the end
    there_are = [one for one in pages_there_are("GET") if not one.path.endswith(NO_PAGES)]
    paths = [path for one in there_are if not (path := one.address(selection)).endswith(".csv")]
    for path in paths[3 :: depth(16, 1)]:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(path)
        assert page.locator("svg[onload]").count() == 0, path
        found = Axe().run(page)
        assert not found.response["violations"], (path, found.generate_report())
        for width, size in ((375, "100%"), (375, "200%"), (1440, "200%")):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
            assert cut(page) == [], (path, width, size)
            assert clipped(page) == [], (path, width, size)
