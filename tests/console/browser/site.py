"""The web of an application in a thread of this process, for a real browser; and the browser."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from batchwright.console.pages.session import COOKIE
from batchwright.console.server import listen, make_asgi
from batchwright.console.traffic import Limits, Traffic
from batchwright.operations import user_store
from batchwright.operations.access.sessions import begin_session
from batchwright.operations.app import Application

CHROMIUM = shutil.which("chromium")
HOW_TO_GET_ONE = "apt-get install -y --no-install-recommends chromium fonts-dejavu-core"
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)


@contextmanager
def site(app: Application) -> Iterator[str]:
    """The address at which the application answers, without a worker."""
    traffic = Traffic(app, Limits(burst=1_000_000))
    asgi = make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=traffic)
    config = uvicorn.Config(asgi, access_log=False, log_config=None, lifespan="off", ws="none")
    server, listening = uvicorn.Server(config), listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="site")
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS.split())
        try:
            yield opened
        finally:
            opened.close()


def sign_in(context: BrowserContext, app: Application, email: str, url: str) -> None:
    """Give a browser the session of that user, without a password typed."""
    with app.database.write() as connection:
        user = user_store.user_by_email(connection, email)
        assert user is not None
        begun = begin_session(connection, user["id"], address="127.0.0.1", browser="", now=app.clock.now())
    context.add_cookies([{"name": COOKIE, "value": begun.reference, "url": url}])


def cut(page: Page) -> list[str]:
    """What of a page reaches beyond its right edge."""
    found: list[str] = page.evaluate(_CUT)
    return found


def clipped(page: Page) -> list[str]:
    """Text of a page that is wider than what holds it, and hidden there."""
    found: list[str] = page.evaluate(_CLIPPED)
    return found


_CUT = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
    [...document.querySelectorAll("main *, header *, nav *")]
    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth
        && !one.closest("thead, .unseen, .sheet"))
    .map((one) => one.outerHTML.slice(0, 120))"""
_CLIPPED = """() => [...document.querySelectorAll("main *, header *, nav *")]
    .filter((one) => one.clientWidth > 1 && one.scrollWidth > one.clientWidth + 1 && one.textContent.trim()
        && ["hidden", "clip"].includes(getComputedStyle(one).overflowX) && !one.closest(".unseen"))
    .map((one) => one.outerHTML.slice(0, 120))"""
