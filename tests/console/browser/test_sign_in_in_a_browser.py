"""Coming in as a person does: the first administrator, signing in and out, and another password."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from batchwright.operations.access.confirming import GOOD_FOR
from batchwright.operations.access.first_administrator import first_administrator_code
from batchwright.operations.access.users import list_users
from batchwright.operations.app import Application
from batchwright.operations.tables import user_session
from tests.console.browser.site import cut, site
from tests.support.rungs import depth

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

ADA = "ada@example.com"
OLD, NEW = "seven green bottles", "eleven pipers piping"


@pytest.fixture
def no_user(app: Application) -> Iterator[str]:
    """Where the site of `app` answers, of which nobody is a user."""
    with site(app) as url:
        yield url


@pytest.fixture
def stranger(chromium: Browser, no_user: str) -> Iterator[Callable[[str], Page]]:
    """Makes a page of a browser of its own, light or dark, that is not signed in."""
    contexts = []

    def made(scheme: str = "light") -> Page:
        contexts.append(
            chromium.new_context(base_url=no_user, color_scheme="dark" if scheme == "dark" else "light")
        )
        return contexts[-1].new_page()

    yield made
    for context in contexts:
        context.close()


def look(page: Page) -> None:
    """Hold the page to what axe knows, and to a phone with large text."""
    page.set_viewport_size({"width": 1440, "height": 900})
    found = Axe().run(page)
    assert not found.response["violations"], (page.url, found.generate_report())
    page.set_viewport_size({"width": 375, "height": 900})
    for size in ("100%", "200%"):
        page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
        assert cut(page) == [], (page.url, size)


def test_below_a_path_of_its_server_addresses_keys_and_cookies_are_there(
    app: Application, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = "/tools/billing"
    settings = app.settings.model_copy(update={"base_url": f"http://127.0.0.1{below}"})
    monkeypatch.setattr(app, "settings", settings)
    with site(app) as url, chromium.new_context(base_url=url) as context:
        page, said = context.new_page(), list[str]()
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{below}/first-administrator?code={first_administrator_code(app)}")
        for name, text in (("email", ADA), ("password", OLD), ("again", OLD)):
            page.fill(f"#{name}", text)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{url}{below}/")
        page.keyboard.press("g")
        page.keyboard.press("r")
        expect(page).to_have_url(f"{url}{below}/runs")
        page.get_by_role("link", name="New run").click()
        expect(page).to_have_url(f"{url}{below}/jobs")
        paths = {one.get("name"): one.get("path") for one in context.cookies(f"{url}{below}/")}
        assert paths == dict.fromkeys(("batchwright", "batchwright-form", "zone"), below)
        assert context.cookies(url) == []
        assert said == []


@pytest.mark.parametrize("scheme", depth(["light"], ["light", "dark"]))
def test_from_the_link_of_serve_to_another_password_everything_is_done_by_keyboard(
    app: Application, stranger: Callable[[str], Page], scheme: str
) -> None:
    page = stranger(scheme)
    page.goto("/runs")
    expect(page).to_have_title("The first administrator · Batchwright")
    look(page)
    page.goto(f"/first-administrator?code={first_administrator_code(app)}")
    look(page)
    page.focus("#email")
    for text in (ADA, OLD, OLD):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".who")).to_have_text(ADA)
    assert len(list_users(app)) == 1

    page.goto("/preferences/password")
    look(page)
    page.focus("#current")
    for text in (OLD, NEW, NEW):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Your password is changed")
    page.goto("/preferences/sessions")
    look(page)

    page.goto("/sign-out")
    page.locator("main button").press("Enter")
    expect(page).to_have_title("Sign in · Batchwright")
    page.go_back()
    expect(page).to_have_title("Sign in · Batchwright")  # nothing is shown of what was seen before
    look(page)
    page.fill("#email", ADA)
    page.fill("#password", OLD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("the address or the password is wrong")
    look(page)
    assert page.input_value("#email") == ADA
    page.fill("#password", NEW)
    page.keyboard.press("Enter")
    expect(page.locator(".who")).to_have_text(ADA)

    with app.database.write() as connection:  # a quarter of an hour later
        connection.execute(update(user_session).values(created_at=app.clock.now() - GOOD_FOR))
    page.goto("/users/add")
    page.fill("#email", "bob@example.com")
    page.keyboard.press("Enter")
    expect(page).to_have_title("Confirm it is you · Batchwright")
    assert len(list_users(app)) == 1
    look(page)
    for password in (OLD, NEW):
        expect(page.locator("#confirm_password")).to_have_value("")
        page.focus("#confirm_password")
        page.keyboard.type(password)
        page.keyboard.press("Enter")
        page.wait_for_load_state()
    expect(page.get_by_text("bob@example.com sets a password by it")).to_be_visible()
    assert len(list_users(app)) == 2

    stranger_page = stranger(scheme)
    for path in ("/reset", "/reset?code=x"):
        stranger_page.goto(path)
        look(stranger_page)
