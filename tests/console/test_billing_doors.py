"""Usage inputs, schedules, assets, forecast and recalculation by the API."""

from __future__ import annotations

from typing import Any

import pytest
from anyio import move_on_after

from batchwright.billing.records import forecast_blocks
from batchwright.console.api.routes import forecast as door
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.billing import forecast as forecasts
from batchwright.operations.billing.asset_line_items import list_asset_line_items
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.explanations import explain_usage_input
from batchwright.operations.billing.forecast import forecast, refresh_forecast
from batchwright.operations.billing.recalculation import recalculation_offer
from batchwright.operations.billing.usage_inputs import delete_usage_inputs, list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from tests.console.checked import CheckedClient, read
from tests.console.conftest import Caller
from tests.support.application import ACTOR

API = "/api/v1"
INPUT = f"{API}/usage-inputs/IN-00007052"
AMENDMENT = f"{API}/asset-line-items/AL-1/amendment"
STATUS = f"{API}/billing-schedules/status"

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("seed"),
]


def rate(app: Application, job: str = "usage-rating") -> None:
    drive_submitted(app, submit_run(app, job, {}, actor=ACTOR, claim=True))


def test_every_listing_in_pages_is_the_whole_of_it(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    rate(app, "draft-usage-rating")
    wholes: dict[str, Any] = {
        "usage-inputs?": list_usage_inputs(app),
        "usage-inputs?status=Loaded&customer_id=C-1&from=2023-07-01&": list_usage_inputs(
            app, where="from=2023-07-01"
        ),
        "usage-schedules?": list_usage_schedules(app),
        "usage-schedules?asset_line_item_id=AL-1&": list_usage_schedules(app, "AL-1"),
        "billing-schedules?": list_billing_schedules(app),
        "billing-schedules?status=pending_billing&period=2023-07&": list_billing_schedules(
            app, period="2023-07"
        ),
        "asset-line-items?": list_asset_line_items(app),
        "forecast?by=product&": forecast(app, "product"),
    }
    for path, whole in wholes.items():
        items = list(whole)
        assert items
        limits = [""] if path.startswith("forecast") else ["limit=1", "limit=1000"]
        for limit in limits:
            assert read(doors, caller("viewer"), f"{API}/{path}{limit}") == items


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("usage-inputs?state=Error", "state"),
        ("usage-inputs?asked=Error", "asked"),
        ("usage-inputs?status=Wrong", "status"),
        ("usage-inputs?customer_id=C-9", "customer_id"),
        ("usage-inputs?from=2023-07-01&before=2023-07-01", "before"),
        ("usage-schedules?asset_line_item_id=AL-9", "asset_line_item_id"),
        ("billing-schedules?period=2023", "period"),
        ("billing-schedules?ready_by=soon", "ready_by"),
        ("asset-line-items?limit=1001", "limit"),
        ("account-charges?customer_id=C-9", "customer_id"),
        ("forecast?by=week", "by"),
        ("forecast?wait=31", "wait"),
    ],
)
def test_a_filter_that_nothing_can_match_is_refused(
    doors: CheckedClient, caller: Caller, path: str, field: str
) -> None:
    refused = doors.get(f"{API}/{path}", headers=caller("viewer"))
    assert (refused.status_code, refused.json()["field"]) == (422, field)


def test_a_forecast_waits_for_a_worker_for_a_time_and_says_what_is_left(
    doors: CheckedClient, app: Application, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate(app, "draft-usage-rating")
    monkeypatch.setattr(forecasts, "BLOCKS_OF_A_LOOK", 0)

    def left(path: str) -> tuple[int, int, bool]:
        told = doors.get(f"{API}/{path}", headers=caller("viewer")).json()
        return told["missing_assets"], told["changed_assets"], told["no_worker"]

    async def added_up(seconds: float) -> None:
        while refresh_forecast(app):
            pass

    assert left("forecast") == (500, 0, True)
    with monkeypatch.context() as patched:
        patched.setattr(door, "move_on_after", lambda seconds: move_on_after(0))
        assert left("forecast?wait=30") == (500, 0, True), "nobody is at work"
    monkeypatch.setattr(door, "sleep", added_up)
    assert left("forecast?wait=30") == (0, 0, False)
    with app.database.write() as connection:
        forecast_blocks.mark_all_changed(connection)
    assert left("forecast?customer_id=C-1") == (0, 500, True)
    assert left("forecast?customer_id=C-1&wait=1") == (0, 0, False)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("usage-inputs/IN-9", "usage_input_id"),
        ("usage-inputs/IN-9/explanation", "usage_input_id"),
        ("usage-inputs/IN-9/history", "usage_input_id"),
        ("billing-schedules/BS-9", "billing_schedule_id"),
        ("asset-line-items/AL-9", "asset_line_item_id"),
        ("asset-line-items/AL-9/amendment", "asset_line_item_id"),
    ],
)
def test_what_nobody_has_is_not_found(doors: CheckedClient, caller: Caller, path: str, field: str) -> None:
    missing = doors.get(f"{API}/{path}", headers=caller("operator"))
    assert (missing.status_code, missing.json()["field"]) == (404, field)


def test_an_id_with_a_slash_is_found_where_the_answer_says(doors: CheckedClient, caller: Caller) -> None:
    new = {"asset_line_item_id": "AL-1", "usage_date": "2023-06-07", "quantity": "1", "product_uom": "Each"}
    added = doors.post(
        f"{API}/usage-inputs", json={**new, "usage_input_id": "IN/7 a"}, headers=caller("operator")
    )
    where = added.headers["location"]
    assert where == f"{API}/usage-inputs/IN%2F7%20a"
    for path in (where, f"{where}/explanation"):
        assert doors.get(path, headers=caller("viewer")).json()["usage_input_id"] == "IN/7 a"


@pytest.mark.parametrize("rest", ["explanation", "history"])
def test_an_id_that_ends_like_an_address_is_another_one_than_that_address(
    doors: CheckedClient, caller: Caller, rest: str
) -> None:
    new = {"asset_line_item_id": "AL-1", "usage_date": "2023-06-07", "quantity": "1", "product_uom": "Each"}
    made = f"IN-00007052/{rest}"
    doors.post(f"{API}/usage-inputs", json={**new, "usage_input_id": made}, headers=caller("operator"))
    shown = doors.get(f"{API}/usage-inputs/IN-00007052%2F{rest}", headers=caller("viewer")).json()
    assert (shown["usage_input_id"], shown["quantity"]) == (made, "1.00")
    assert doors.get(f"{API}/usage-inputs/IN-00007052/{rest}", headers=caller("viewer")).status_code == 200
    seen = doors.get(f"{API}/usage-inputs/IN-00007052%2F{rest}/explanation", headers=caller("viewer"))
    assert seen.json()["usage_input_id"] == made


def test_an_input_is_added_and_found_where_the_answer_says(doors: CheckedClient, caller: Caller) -> None:
    new = {
        "asset_line_item_id": "AL-1",
        "usage_date": "2023-06-07",
        "quantity": "0.125",
        "product_uom": "Each",
    }
    added = doors.post(f"{API}/usage-inputs", json=new, headers=caller("operator"))
    assert (added.status_code, added.json()["quantity"]) == (201, "0.125")
    found = doors.get(added.headers["location"], headers=caller("viewer"))
    assert (found.json(), found.headers["etag"]) == (added.json(), added.headers["etag"])
    for wrong, status, field in (
        ({"quantity": 0.125}, 400, None),
        ({"quantity": 5}, 422, "/quantity"),
        ({"quantity": "5e1"}, 422, "quantity"),
        ({"asset_line_item_id": "AL-9"}, 422, "asset_line_item_id"),
        ({"usage_input_id": added.json()["usage_input_id"]}, 409, "usage_input_id"),
        ({"status": "Rated"}, 422, "/status"),
    ):
        refused = doors.post(f"{API}/usage-inputs", json={**new, **wrong}, headers=caller("operator"))
        assert (refused.status_code, refused.json()["field"]) == (status, field)


def test_an_input_is_edited_by_whoever_has_seen_it_as_it_is(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    headers = caller("operator")
    tag = doors.get(INPUT, headers=headers).headers["etag"]
    unseen = doors.patch(INPUT, json={"quantity": "21"}, headers=headers)
    assert (unseen.status_code, unseen.json()["field"]) == (428, "If-Match")
    edited = doors.patch(INPUT, json={"quantity": "21"}, headers=headers | {"If-Match": tag})
    assert (edited.status_code, edited.json()["quantity"]) == (200, "21.00")
    assert edited.headers["etag"] == doors.get(INPUT, headers=headers).headers["etag"] != tag
    late = doors.patch(INPUT, json={"quantity": "22"}, headers=headers | {"If-Match": tag})
    assert late.status_code == 412
    assert doors.get(INPUT, headers=headers).json()["quantity"] == "21.00"
    either = headers | {"If-Match": f'"other", {edited.headers["etag"]}'}
    assert doors.patch(INPUT, json={"description": "June"}, headers=either).status_code == 200
    whichever = headers | {"If-Match": "*"}
    assert doors.patch(INPUT, json={"description": ""}, headers=whichever).json()["description"] is None
    assert doors.patch(INPUT, json={}, headers=whichever).status_code == 422
    (entry, *_) = list_audit(app)
    assert (entry["act"], entry["actor"], entry["door"]) == (
        "usage_input.edit",
        "operator@example.com",
        "api",
    )
    delete_usage_inputs(app, ["IN-00007052"], actor=ACTOR)
    assert doors.patch(INPUT, json={"quantity": "1"}, headers=whichever).status_code == 410


@pytest.mark.parametrize("amended", [False, True])
def test_an_input_is_explained_as_on_the_command_line(
    doors: CheckedClient, app: Application, caller: Caller, amended: bool
) -> None:
    for job in ("draft-usage-rating", "usage-rating"):
        rate(app, job)
    if amended:
        tag = doors.get(AMENDMENT, headers=caller("operator")).headers["etag"]
        assert (
            doors.post(AMENDMENT, json={}, headers=caller("operator") | {"If-Match": tag}).status_code == 200
        )
    explained = doors.get(f"{INPUT}/explanation", headers=caller("viewer")).json()
    assert explained == explain_usage_input(app, "IN-00007052")
    assert explained["explanation"]["rated"]["amount"] == ("0.00" if amended else "4000.00")
    history = read(doors, caller("viewer"), f"{INPUT}/history?limit=1")
    assert history == explained["history"][::-1]


def test_an_asset_is_amended_as_it_was_foreseen_or_not_at_all(doors: CheckedClient, caller: Caller) -> None:
    headers = caller("operator")
    changes = {"end_date": "2024-06-30", "billing_frequency": "Quarterly"}
    foreseen = doors.get(AMENDMENT, params=changes, headers=headers)
    assert foreseen.json()["terms"]["after"]["end_date"] == "2024-06-30"
    assert doors.post(AMENDMENT, json=changes, headers=headers).status_code == 428
    seen = headers | {"If-Match": foreseen.headers["etag"]}
    other = doors.post(AMENDMENT, json={"end_date": "2024-06-30"}, headers=seen)
    assert other.status_code == 412
    done = doors.post(AMENDMENT, json={**changes, "reason": "longer"}, headers=seen)
    assert (done.status_code, done.json()["terms"]) == (200, foreseen.json()["terms"])
    assert all(one["billing_schedule_id"] for one in done.json()["billing_schedules"]["created"])
    assert doors.get(f"{API}/asset-line-items/AL-1", headers=headers).json()["end_date"] == "2024-06-30"
    assert doors.post(AMENDMENT, json=changes, headers=seen).status_code == 412
    bad = doors.get(AMENDMENT, params={"billing_frequency": "Daily"}, headers=headers)
    assert (bad.status_code, bad.json()["field"]) == (422, "billing_frequency")


def test_billing_schedules_get_a_status_by_id_or_by_a_day_as_foreseen(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    headers = caller("Billing Utilities Admin")
    first, second = (one["billing_schedule_id"] for one in list_billing_schedules(app))
    assert (
        doors.get(f"{API}/billing-schedules/{first}", headers=headers).json()["status"] == "Pending Billing"
    )
    by_day = {"status": "pending_invoice", "ready_by": "2023-12-31"}
    assert doors.post(STATUS, json=by_day, headers=caller("operator")).status_code == 403
    assert doors.post(STATUS, json=by_day, headers=headers).status_code == 428
    foreseen = doors.get(STATUS, params=by_day, headers=headers)
    assert foreseen.json()["moving"] == 1
    seen = headers | {"If-Match": foreseen.headers["etag"]}
    assert doors.post(STATUS, json=by_day, headers=seen).json() == {"moved": [first], "untouched": []}
    assert doors.post(STATUS, json=by_day, headers=seen).status_code == 412
    by_id = {"status": "Invoiced", "billing_schedule_ids": [first], "reason": "paid"}
    assert doors.post(STATUS, json=by_id, headers=headers).json()["moved"] == [first]
    for wrong, field in (
        ({"billing_schedule_ids": ["BS-9"]}, "billing_schedule_ids"),
        ({"billing_schedule_ids": [second], "status": "Superseded"}, "status"),
        ({}, "billing_schedule_ids"),
    ):
        refused = doors.post(STATUS, json={"status": "Invoiced", **wrong}, headers=headers)
        assert (refused.status_code, refused.json()["field"]) == (422, field)


def test_what_can_be_recalculated_is_offered_to_billing_admins(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    where = f"{API}/recalculation/offer"
    assert doors.get(where, headers=caller("operator")).status_code == 403
    offer = doors.get(where, headers=caller("Billing Utilities Admin"))
    assert offer.json() == recalculation_offer(app)
    assert read(doors, caller("viewer"), f"{API}/account-charges") == []
