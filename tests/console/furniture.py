"""A database with something behind every address of the API, and the ids of it."""

from __future__ import annotations

from typing import Final

from batchwright.billing import sample
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.schedules import add_schedule
from tests.support.application import ACTOR

KNOWN: Final = {
    "account_id": "HL-EAST",
    "asset_line_item_id": "ALI-0001",
    "billing_schedule_id": "BS-01311820",
    "contract_id": "CT-HL-2023",
    "customer_id": "C-1001",
    "email": "jane@example.com",
    "line_item_id": "CLI-001",
    "mail_id": "ML-00000001",
    "name": "Nightly",
    "price_book_id": "PB-US-2023",
    "price_id": "PB-US-2023/Compute%20Hours/2023-01-01",
    "run_id": "JR-00000001",
    "usage_input_id": "IN-00007052",
    "usage_schedule_id": "US-00008311",
}
"""What is there to be found, by the name of its parameter."""


def furnish(app: Application) -> None:
    """The sample company, a run with its mail, a schedule and a user."""
    import_paths(app, [sample.folder()], actor=ACTOR)
    drive_submitted(app, submit_run(app, "draft-usage-rating", {}, actor=ACTOR, claim=True))
    nightly = ScheduleRequest(name="Nightly", cron="0 0 0 ? * * *", job="draft-usage-rating")
    add_schedule(app, nightly, actor=ACTOR)
    add_user(app, "jane@example.com", "operator", actor=ACTOR)


def address_of(path: str, values: dict[str, str]) -> str:
    """A path of the document with values for its names."""
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path
