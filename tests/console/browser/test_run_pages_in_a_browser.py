"""The pages of runs as a person meets them: live, by keyboard, read out, on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from batchwright.billing import sample
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.driving import drive_run, drive_submitted
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import RunTerms, submit_run
from tests.console.browser.site import cut
from tests.support.application import ACTOR
from tests.support.rungs import depth

JOB = "draft-usage-rating"
HOSTILE: RunTerms = {
    "reason": "Other",
    "explanation": "<img src=x onerror=alert(1)><script>alert(2)</script>" * 9,
}
Open = Callable[..., Page]


@pytest.fixture
def runs(app: Application, seed: None) -> dict[str, str]:
    """Ids of a run that has completed, of one that was aborted, of one that waits, and of a dry one."""
    terms: dict[str, Any] = {"actor": ACTOR, **HOSTILE}
    done = submit_run(app, JOB, {}, **terms)
    drive_submitted(app, done, mail=False)
    aborted = submit_run(app, JOB, {}, **terms)
    abort_run(app, aborted.run_id, actor=ACTOR, mail=False)
    dry = submit_run(app, "usage-rating", {}, mode="dry_run", **terms)
    drive_submitted(app, dry, mail=False)
    waiting = submit_run(app, JOB, {}, **terms)
    return {"done": done.run_id, "aborted": aborted.run_id, "waiting": waiting.run_id, "dry": dry.run_id}


PATHS = (
    "/runs",
    "/runs?status=Complete",
    "/runs/{done}",
    "/runs/{waiting}",
    "/runs/{aborted}/error",
    "/runs/{done}/reason",
    "/runs/{waiting}/abort",
    "/runs/{waiting}/move",
    "/runs/{done}/outcomes",
    "/runs/{dry}/preview",
    "/runs/{dry}/apply",
    "/ticked-runs?act=abort&run_id={waiting}&run_id={done}",
    "/search",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_on_a_phone_or_with_large_text(
    open_page: Open, runs: dict[str, str], scheme: str
) -> None:
    page = open_page("/runs", scheme=scheme)
    for path in PATHS:
        there = path.format(**runs)
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(there)
        found = Axe().run(page)
        assert not found.response["violations"], (there, found.generate_report())
        for width, size in ((375, "100%"), (375, "200%"), (1440, "200%")):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
            assert cut(page) == [], (there, width, size)


def test_the_log_follows_a_run_until_it_is_complete_and_then_stops(
    app: Application, open_page: Open, runs: dict[str, str]
) -> None:
    page = open_page("/runs")
    waiting = page.locator(f"#{runs['waiting']}")
    expect(waiting).to_contain_text("Holding")
    drive_run(app, runs["waiting"], actor=ACTOR, mail=False)
    expect(waiting).to_contain_text("Complete", timeout=15_000)
    expect(page.locator("#region_runs")).not_to_have_attribute("data-live", re.compile(""))
    expect(page.locator("#spoken")).to_have_text("Nothing is at work")


def test_focus_and_what_is_selected_stay_while_the_page_follows(
    app: Application, open_page: Open, runs: dict[str, str]
) -> None:
    page = open_page("/runs")
    page.focus(f"#to-{runs['done']}")
    page.evaluate("id => getSelection().selectAllChildren(document.getElementById(id))", f"to-{runs['done']}")
    page.locator("summary", has_text="Filter").click()
    page.fill("#customer_id", "half a wo")
    page.focus("#customer_id")
    version = page.get_attribute("#region_runs", "data-version")
    drive_run(app, runs["waiting"], actor=ACTOR, mail=False)
    expect(page.locator("#region_runs")).not_to_have_attribute("data-version", version or "", timeout=15_000)
    assert page.input_value("#customer_id") == "half a wo"
    assert page.evaluate("document.activeElement.id") == "customer_id"


def test_a_minute_of_news_leaves_focus_and_typing_and_speaks_six_sentences_at_most(
    app: Application, open_page: Open, runs: dict[str, str]
) -> None:
    waiting = [submit_run(app, JOB, {}, actor=ACTOR).run_id for _ in range(depth(10, 30))]
    page = open_page("/jobs")
    page.clock.install()
    page.goto("/runs")
    page.evaluate(
        """() => { window.heard = 0; window.began = performance.now();
        new MutationObserver(() => { window.heard += 1; })
        .observe(document.getElementById("spoken"), { childList: true }); }"""
    )
    page.locator("summary", has_text="Filter").click()
    page.fill("#customer_id", "half a wo")
    page.evaluate("document.getElementById('customer_id').setSelectionRange(2, 6)")
    for run_id in waiting:
        abort_run(app, run_id, actor=ACTOR, mail=False)
        with page.expect_response("**/runs"):
            page.clock.run_for(60_000 // len(waiting))
    expect(page.locator(f"#{waiting[-1]}")).to_contain_text("Aborted")
    heard, seconds = page.evaluate("[heard, (performance.now() - began) / 1000]")
    assert seconds >= 60
    assert 1 <= heard <= 1 + seconds / 10
    held = "({ id, value, selectionStart: from }) => [id, value, from]"
    assert page.evaluate(f"({held})(document.activeElement)") == ["customer_id", "half a wo", 2]


def test_a_badge_opens_its_error_as_a_dialog_and_escape_leads_back(
    open_page: Open, runs: dict[str, str]
) -> None:
    page = open_page("/runs")
    badge = page.locator(f"#{runs['aborted']} a.badge")
    badge.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog[open]")).to_contain_text("aborted by dana@example.com")
    page.keyboard.press("Escape")
    expect(page.locator("#dialog[open]")).to_have_count(0)
    assert page.evaluate("document.activeElement.textContent").strip() == "Aborted"


def test_a_run_is_aborted_by_keyboard_alone_with_cancel_first(
    app: Application, open_page: Open, runs: dict[str, str]
) -> None:
    page = open_page(f"/runs/{runs['waiting']}")
    page.locator("a.button", has_text="Abort").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog [data-cancel]")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{runs['waiting']}*")
    expect(page.locator("main [role=status]")).to_contain_text("aborted")
    assert show_run(app, runs["waiting"], actor=ACTOR)["status"] == "Aborted"


def test_who_goes_on_as_soon_as_a_dialog_closes_keeps_the_field(
    open_page: Open, runs: dict[str, str]
) -> None:
    page = open_page("/runs")
    page.keyboard.press("j")
    page.keyboard.press("?")
    expect(page.locator("#dialog[open]")).to_be_visible()
    last = page.evaluate(
        """() => new Promise((told) => {
            const dialog = document.getElementById("dialog");
            dialog.addEventListener("close", () => told(document.activeElement.id), { once: true });
            dialog.close();
            document.getElementById("search").focus();  // before the event of the closing
        })"""
    )
    assert last == "search"


def test_keys_lead_to_search_rows_and_the_sheet_of_keys(open_page: Open, runs: dict[str, str]) -> None:
    page = open_page("/runs")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".rows tr.at")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.locator("#dialog[open]")).to_contain_text("Next and previous row")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type(runs["done"])
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{runs['done']}")


def test_a_strip_is_one_stop_of_the_tab_key_and_its_parts_lead_to_their_outcomes(
    app: Application, open_page: Open
) -> None:
    import_paths(app, [sample.folder()], actor=ACTOR)
    run = submit_run(app, JOB, {}, actor=ACTOR, scope_size=4)
    drive_submitted(app, run, mail=False)
    page = open_page(f"/runs/{run.run_id}")
    parts = page.locator(".strip a")
    expect(page.locator(".strip a[tabindex='0']")).to_have_count(1)
    parts.first.focus()
    page.keyboard.press("ArrowRight")
    expect(parts.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/outcomes\?first_record=\d+$"))
    expect(page.locator("#main .id").first).to_be_visible()
