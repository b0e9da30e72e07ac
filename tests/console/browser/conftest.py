"""A real browser for a module, which looks at the site of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from batchwright.console.pages import banners
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application
from tests.console.browser.site import CHROMIUM, HOW_TO_GET_ONE, browser, sign_in, site
from tests.support.application import ACTOR

EMAIL = "dana@example.com"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium. Of a module: while it is open, no test of its process has an event loop of its own."""
    if CHROMIUM is None:
        pytest.skip(f"not run without a Chromium: {HOW_TO_GET_ONE}")
    with browser() as opened:
        yield opened


@pytest.fixture
def address(app: Application) -> Iterator[str]:
    """Where the site of `app` answers."""
    banners.forget()
    add_user(app, EMAIL, "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    with site(app) as url:
        yield url


@pytest.fixture
def open_page(app: Application, chromium: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site, signed in as an administrator; what the browser complains of fails the test."""
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def opened(path: str, *, width: int = 1440, scheme: str = "light") -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            base_url=address,
        )
        contexts.append(context)
        sign_in(context, app, EMAIL, address)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
