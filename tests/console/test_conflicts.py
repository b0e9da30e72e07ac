"""What is refused because something stands as it does, not for how it was asked, is answered 409 at every door."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright.operations.access.users import add_user, disable_user
from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import (
    list_billing_schedules,
    set_billing_schedule_status,
)
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from tests.console.checked import CheckedClient
from tests.console.conftest import Caller
from tests.support.application import ACTOR

V1 = "/api/v1"
INPUT = {"asset_line_item_id": "AL-1", "usage_date": "2023-06-07", "quantity": "1", "product_uom": "Each"}
NIGHTLY = {"name": "Nightly", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating"}
JANE = {"email": "jane@example.com", "role": "operator"}
CASES: list[tuple[str, dict[str, Any] | None, str | None]] = [
    ("POST usage-inputs", INPUT | {"usage_input_id": "IN-00007052"}, "usage_input_id"),
    ("PATCH usage-inputs/IN-00007052", {"quantity": "1"}, "usage_input_ids"),
    (
        "POST billing-schedules/status",
        {"status": "Pending Invoice", "billing_schedule_ids": ["BS-00000001"]},
        "status",
    ),
    ("GET billing-schedules/status?status=Pending+Invoice&billing_schedule_id=BS-00000001", None, "status"),
    ("POST asset-line-items/AL-1/amendment", {"end_date": "2023-06-10"}, "end_date"),
    ("GET asset-line-items/AL-1/amendment?end_date=2023-06-10", None, "end_date"),
    ("POST runs/JR-00000002/retry", {}, "run_id"),
    ("POST runs/JR-00000002/abort", {}, "run_id"),
    ("POST runs/JR-00000002/pause", {}, "run_id"),
    ("POST runs/JR-00000002/resume", {}, "run_id"),
    ("POST runs/JR-00000002/hold", {}, "run_id"),
    ("POST runs/JR-00000002/move", {"front": True}, "run_id"),
    ("POST mail/ML-00000001/retry", {}, "mail_id"),
    ("POST schedules", NIGHTLY, "name"),
    ("PATCH schedules/Nightly", {"cron": NIGHTLY["cron"]}, "name"),
    ("POST schedules/Nightly/resume", {}, "name"),
    ("POST schedules/Nightly/rewind", {}, "name"),
    ("POST schedules/hold", {"held": False}, None),
    ("POST users", JANE, "email"),
    ("POST users", {"email": "joe@example.com", "role": "viewer", "os_user": "jane"}, "os_user"),
    ("POST users/viewer@example.com/role", {"role": "viewer", "os_user": "jane"}, "os_user"),
    ("POST users/root@example.com/disable", {}, "role"),
    ("POST users/viewer@example.com/tokens", {"name": "token-1"}, "name"),
    ("POST users/gone@example.com/tokens", {}, "email"),
]

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("seed"),
]


def rate_and_invoice(app: Application) -> None:
    """Rate both inputs, after a forecast, and invoice the first billing schedule."""
    for job in ("draft-usage-rating", "usage-rating"):
        drive_submitted(app, submit_run(app, job, {}, actor=ACTOR, claim=True))
    for status in ("Pending Invoice", "Invoiced"):
        set_billing_schedule_status(app, ["BS-00000001"], status, actor=ACTOR)


def test_what_the_state_of_a_thing_forbids_is_a_conflict_at_every_door(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    headers = caller("administrator") | {"If-Match": "*"}
    rate_and_invoice(app)
    caller("viewer")
    add_user(app, "gone@example.com", "operator", actor=ACTOR)
    add_user(app, JANE["email"], JANE["role"], os_user="jane", actor=ACTOR)
    assert doors.post(f"{V1}/schedules", json=NIGHTLY, headers=headers).status_code == 201
    disable_user(app, "gone@example.com", actor=ACTOR)
    for door, body, field in CASES:
        method, _, path = door.partition(" ")
        refused = doors.request(method, f"{V1}/{path}", json=body, headers=headers)
        found = (refused.status_code, refused.json().get("field"), bool(refused.json().get("remedy")))
        assert found == (409, field, True), (door, refused.text)
        named = "JR-00000002" if path.startswith("runs/") else None
        assert refused.json().get("run_id") == named, (door, refused.text)


def test_an_asset_of_which_all_is_billed_has_nothing_to_amend(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    ids = [one["billing_schedule_id"] for one in list_billing_schedules(app)]
    for status in ("Pending Invoice", "Invoiced"):
        set_billing_schedule_status(app, ids, status, actor=ACTOR)
    refused = doors.get(f"{V1}/asset-line-items/AL-1/amendment", headers=caller("operator"))
    assert (refused.status_code, refused.json()["field"]) == (409, "asset_line_item_id")
