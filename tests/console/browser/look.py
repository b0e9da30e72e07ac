"""Screenshots of pages: `python -m tests.console.browser.look /runs /jobs …`.

Each page is taken at 375, 768 and 1440 px, light and dark, of a company with runs, signed in as an administrator.
`--rows 0`, `1`, `many` says how many runs there are, `--zoom 2` makes text larger, `--width 375` takes one width;
`--to FOLDER` is where they go, and `--manual` takes those of docs/images alone (`make images`).
`{run}`, `{failed}`, `{dry}`, `{working}` in a path stand for ids of such runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page
from sqlalchemy import text

from batchwright.billing import sample
from batchwright.engine.clock import SystemClock
from batchwright.engine.schedule import ScheduleRequest
from batchwright.engine.store.migrating import newest_revision
from batchwright.engine.store.workers import NewWorker, insert_worker
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.database import upgrade_database
from batchwright.operations.runs.controls import abort_run, pause_run
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.runs.submitting import RunTerms, submit_run
from batchwright.operations.schedules.schedules import add_schedule
from tests.console.browser.site import browser, sign_in, site
from tests.support.application import ACTOR, make_settings

WIDTHS = (375, 768, 1440)
EMAIL = "dana@example.com"
MANUAL = {
    "overview": "/",
    "runs": "/runs",
    "run": "/runs/{working}",
    "usage-inputs": "/usage-inputs",
    "usage-input": "/usage-inputs/IN-00007052",
    "billing-utilities": "/billing-utilities/recalculation?customer_id=C-1001&periods=2023-06&reason=Incorrect+Charges",
    "launch": "/jobs/usage-rating/launch",
}
"""The images of docs/images and their pages."""
PHONE = {
    "run-phone": "/runs/{working}",
    "usage-input-phone": "/usage-inputs/IN-00007052#amounts",
    "mail": "/mail/ML-00000001/message",
}
"""The same as a phone shows them; `mail` is a message as its reader sees it."""
LONG = "A very long explanation that somebody wrote in a hurry, with <script>alert(1)</script> in it. " * 6


def fill(app: Application, rows: str) -> None:
    """Users, the sample company, and runs in every state."""
    add_user(app, EMAIL, "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    import_paths(app, [sample.folder()], actor=ACTOR)
    for name, cron in (("Nightly", "0 0 22 ? * MON-FRI"), ("Every quarter of an hour", "*/15 * * * *")):
        wanted = ScheduleRequest(
            name=name, cron=cron, job="draft-usage-rating", time_zone="America/New_York", misfire="all"
        )
        add_schedule(app, wanted, actor=ACTOR, from_crontab=True)
    if rows == "0":
        return
    terms: RunTerms = {"reason": "Incorrect Charges"}
    submitted = submit_run(app, "draft-usage-rating", {}, actor=ACTOR, mode="batch", **terms)
    drive_submitted(app, submitted, mail=False)
    if rows == "1":
        return
    dry = submit_run(app, "usage-rating", {}, actor=ACTOR, mode="dry_run", **terms)
    drive_submitted(app, dry, mail=False)
    long: RunTerms = {"reason": "Other", "explanation": LONG}
    number_of_runs, number_ended = (54, 48) if rows == "many" else (12, 10)
    for number in range(number_of_runs):
        if number == number_ended:
            _leave_at_work(app)
        again = submit_run(
            app, "draft-usage-rating", {}, actor=ACTOR, mode="batch", **(long if number % 5 == 0 else terms)
        )
        if number % 9 == 0:
            abort_run(app, again.view["run_id"], actor=ACTOR, reason="Not wanted", mail=False)
        elif number < number_ended:
            drive_submitted(app, again, mail=False)
        elif number == number_ended + 2:
            pause_run(app, again.view["run_id"], actor=ACTOR)


def _leave_at_work(app: Application) -> None:
    """A run whose process went away in its middle, as far as anybody can see: it is at work."""
    looks = iter(range(10**9))
    submitted = submit_run(app, "draft-usage-rating", {}, actor=ACTOR, claim=True, scope_size=4)
    drive_submitted(app, submitted, stop=lambda: next(looks) > 5, mail=False)
    with app.database.write() as connection:
        found = text("UPDATE run SET state = 'Processing' WHERE run_id = :run_id AND state = 'Queued'")
        connection.execute(found, {"run_id": submitted.run_id})


_KINDS = {
    "Failed": "failed",
    "Aborted": "failed",
    "Holding": "waiting",
    "Queued": "waiting",
    "Processing": "working",
}


class _OfTheCompany(SystemClock):
    """A clock that goes on from a day on which the sample company bills."""

    def __init__(self) -> None:
        self._ahead = datetime.now(UTC) - datetime(2023, 7, 3, 8, 30, tzinfo=UTC)

    def now(self) -> datetime:
        """The instant, in 2023."""
        return datetime.now(UTC) - self._ahead


def _add_worker(app: Application) -> None:
    """A worker that is there, as far as anybody can see."""
    new = NewWorker(
        host="billing-1",
        process=4_711,
        version="1.0",
        revision=newest_revision() or "",
        jobs=["draft-usage-rating"],
        started_at=app.clock.now(),
    )
    with app.database.write() as connection:
        insert_worker(connection, new)


def _names(app: Application) -> dict[str, str]:
    runs = list_runs(app, actor=ACTOR)
    names = {"run": "", "failed": "", "dry": "", "waiting": "", "working": ""}
    for run in runs:
        kind = _KINDS.get(run["status"], "run")
        names["dry" if run["mode"] == "dry_run" else kind] = run["run_id"]
    return names


def _top(page: Page) -> FloatRect:
    """The whole page, or its first 2,000 px."""
    assert page.viewport_size is not None
    height = page.evaluate("document.documentElement.scrollHeight")
    return {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": min(height, 2_000)}


def _take(page: Page, url: str, folder: Path, name: str, *, screen: bool = False) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1_500)  # until what is looked up after the page is there
    page.screenshot(path=folder / f"{name}.png", full_page=not screen, clip=None if screen else _top(page))
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    print(f"{name}.png", f"{wide} px too wide" if wide else "", *said)


def _take_manual(app: Application, base: str, opened: Browser, folder: Path) -> None:
    """The images of docs/, of a company that works."""
    _add_worker(app)
    phone = opened.new_context(
        viewport={"width": 400, "height": 640}, color_scheme="light", device_scale_factor=2
    )
    sign_in(phone, app, EMAIL, base)
    for name, path in PHONE.items():
        _take(phone.new_page(), base + path.format(**_names(app)), folder, name, screen=True)
    context = opened.new_context(
        viewport={"width": 1040, "height": 720}, color_scheme="light", device_scale_factor=1.5
    )
    sign_in(context, app, EMAIL, base)
    for name, path in MANUAL.items():
        _take(context.new_page(), base + path.format(**_names(app)), folder, name, screen=True)


def main() -> int:
    """Take them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--manual", action="store_true")
    parser.add_argument("--rows", choices=["0", "1", "many"], default="many")
    parser.add_argument("--width", type=int, choices=WIDTHS, action="append")
    parser.add_argument("--scheme", choices=["light", "dark"], action="append")
    parser.add_argument("--zoom", type=float, default=1.0)
    parser.add_argument("--to", type=Path, default=Path(tempfile.gettempdir()) / "look")
    given = parser.parse_args()
    given.to.mkdir(exist_ok=True, parents=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        url = f"sqlite:///{folder / 'look.db'}"
        mail = {"directory": folder / "mail", "transport": "smtp" if given.manual else "file"}
        settings = make_settings(url, folder, label="Production", colour="red", mail=mail)
        app = make_application(settings, clock=_OfTheCompany() if given.manual else None)
        upgrade_database(app, actor=ACTOR)
        fill(app, "some" if given.manual else given.rows)
        with site(app) as base, browser() as opened:
            if given.manual:
                _take_manual(app, base, opened, given.to)
            for scheme in () if given.manual else given.scheme or ("light", "dark"):
                for width in given.width or WIDTHS:
                    context = opened.new_context(
                        viewport={"width": width, "height": 900}, color_scheme=scheme
                    )
                    sign_in(context, app, EMAIL, base)
                    for path in given.paths:
                        there = path.format(**_names(app))
                        name = f"{there.strip('/').replace('/', '_').replace('?', '_') or 'first'}-{width}-{scheme}"
                        _take(context.new_page(), base + there, given.to, name)
                    context.close()
        app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
