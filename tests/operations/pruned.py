"""A company with runs of every kind, and their age."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import func, select, update

from batchwright.engine.store.tables import outcome, preview_line, run_selection, scope
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import Application
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from tests.jobs.company import Company
from tests.support.application import ACTOR

TIERS: Final = (("10", "3", "5"), (None, "2", None))
FORECAST, RATING = "draft-usage-rating", "usage-rating"


def fill(books: Company) -> None:
    """Two assets, whose inputs are good but for one of another unit of measure."""
    books.priced("data", "tiered", tiers=TIERS, usage_indexing=True, included_quantity="2")
    books.contract(books.customer(), books.price_book("PB-USD"), "CO-1", discount_percent=Decimal("12.5"))
    for number in (1, 2):
        asset = books.metered(f"AL-{number}", months=6, months_per_schedule=6)
        for place in range(4):
            books.used(asset, f"in-{number}-{place}", f"0{place + 1}-05", "4.01")
    books.used(asset, "bad", "05-05", product_uom="Box")


def run(
    app: Application, job: str = FORECAST, parameters: dict[str, Any] | None = None, **values: Any
) -> str:
    """A run that is done; its id."""
    submitted = submit_run(app, job, parameters or {}, actor=ACTOR, **({"mail_actor": False} | values))
    drive_submitted(app, submitted)
    return submitted.run_id


def age(app: Application, *run_ids: str, days: int = 100) -> None:
    """Let them have ended so long ago; all that have ended where none is named."""
    ended = update(run_table).where(run_table.c.ended_at.is_not(None))
    with app.database.write() as connection:
        for run_id in run_ids or (None,):
            which = ended if run_id is None else ended.where(run_table.c.run_id == run_id)
            connection.execute(which.values(ended_at=app.clock.now() - timedelta(days=days)))


def rows_of(app: Application, *run_ids: str) -> dict[str, int]:
    """How many rows there are of what became of the records of these runs."""
    with app.database.read() as connection:
        keys = select(run_table.c.id).where(run_table.c.run_id.in_(run_ids))
        return {
            table.name: connection.execute(
                select(func.count()).select_from(table).where(table.c.run_id.in_(keys))
            ).scalar_one()
            for table in (scope, outcome, preview_line, run_selection)
        }


def shown(app: Application, *run_ids: str) -> list[View]:
    """The runs, as everybody sees them, without that they were pruned."""
    views = [show_run(app, run_id) for run_id in run_ids]
    for view in views:
        for name in ("pruned_at", "cannot_retry"):
            view.pop(name, None)
    return views
