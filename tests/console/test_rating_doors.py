"""The flavours of rating by the API: each comes to what the command line and Python come to."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.runs.driving import drive_run, drive_submitted
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import submit_run
from tests.console.checked import CheckedClient
from tests.console.conftest import Caller
from tests.support.application import ACTOR

INPUTS = "/api/v1/usage-inputs"
BOTH = ["IN-00007052", "IN-00007053"]
SAME = ("job", "status", "total", "processed", "errored", "skipped", "totals", "parameters", "warnings")

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("seed"),
]


def by_command(app: Application, **parameters: Any) -> dict[str, Any]:
    """The same forecast as the command line does it, of Rated inputs, too."""
    given = {"include_rated": True, **parameters}
    return drive_submitted(app, submit_run(app, "draft-usage-rating", given, actor=ACTOR, claim=True))


def mailed(app: Application, run_id: str) -> list[str]:
    drive_run(app, run_id, actor=ACTOR)
    return [mail["recipient"] for mail in show_run(app, run_id)["mails"]]


@pytest.mark.parametrize(
    ("named", "mail"),
    [
        ({}, True),
        ({"usage_input_ids": BOTH}, True),
        ({"usage_input_ids": BOTH, "process_synchronously": False}, False),
        ({"asset_line_item_ids": ["AL-1"]}, True),
    ],
)
def test_a_batch_is_accepted_and_comes_to_what_the_command_line_comes_to(
    doors: CheckedClient, app: Application, caller: Caller, named: dict[str, Any], mail: bool
) -> None:
    taken = doors.post(f"{INPUTS}/draft-rate", json=named, headers=caller("operator"))
    run = taken.json()
    assert (taken.status_code, taken.headers["location"]) == (202, f"/api/v1/runs/{run['run_id']}")
    assert (run["trigger"], run["actor"], run["mode"]) == ("api", "operator@example.com", "batch")
    assert mailed(app, run["run_id"]) == (["operator@example.com"] if mail else [])
    done = doors.get(taken.headers["location"], headers=caller("viewer")).json()
    previewed = by_command(app, **{name: ids for name, ids in named.items() if isinstance(ids, list)})
    assert {name: done[name] for name in SAME} == {name: previewed[name] for name in SAME}
    assert done["totals"] == {"draft_fee_amount": {"USD": "6000.00"}}


def test_a_synchronous_one_answers_with_its_outcomes_and_nobody_is_mailed(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    wanted = {"usage_input_ids": BOTH, "process_synchronously": True}
    done = doors.post(f"{INPUTS}/draft-rate", json=wanted, headers=caller("operator"))
    found = [(row["record_id"], row["outcome"], row["amount"]) for row in done.json()["outcomes"]]
    assert (done.status_code, found) == (200, [(BOTH[0], "ok", "4000.00"), (BOTH[1], "ok", "2000.00")])
    run_id = done.json()["run_id"]
    assert show_run(app, run_id)["mails"] == []
    kept = doors.get(f"/api/v1/runs/{run_id}/outcomes", headers=caller("viewer")).json()
    assert kept == {"items": done.json()["outcomes"], "next": None}


def test_what_is_rated_is_unrated_reset_and_deleted_each_with_its_outcome(
    doors: CheckedClient, caller: Caller
) -> None:
    at_once = {"usage_input_ids": BOTH, "process_synchronously": True}
    outcomes = []
    for act in ("rate", "unrate", "reset", "delete"):
        done = doors.post(f"{INPUTS}/{act}", json=at_once, headers=caller("operator"))
        assert done.status_code == 200
        outcomes.append([row["outcome"] for row in done.json()["outcomes"]])
    assert outcomes == [["ok", "ok"]] * 4
    missing = doors.get(f"{INPUTS}/{BOTH[0]}", headers=caller("viewer"))
    assert (missing.status_code, missing.json()["field"]) == (410, "usage_input_id")


def test_a_reset_is_done_at_once_where_nothing_is_said_and_a_selection_says_of_which(
    doors: CheckedClient, caller: Caller
) -> None:
    wanted = {"kind": "usage-inputs", "filter": {"status": ["Loaded", "Error"], "from": "2023-07-01"}}
    made = doors.post("/api/v1/selections", json=wanted, headers=caller("operator"))
    assert (made.status_code, made.json()["count"], made.json()["by_status"]["Loaded"]) == (201, 1, 1)
    named = {"selection_id": made.json()["selection_id"]}
    for act, outcome in (("draft-rate", None), ("reset", "skipped"), ("delete", "ok")):
        done = doors.post(f"{INPUTS}/{act}", json=named, headers=caller("operator"))
        outcomes = [row["outcome"] for row in done.json().get("outcomes", [])]
        assert (done.status_code, outcomes) == ((202, []) if outcome is None else (200, [outcome]))
    left = doors.get(INPUTS, headers=caller("viewer")).json()["items"]
    assert [one["usage_input_id"] for one in left] == [BOTH[0]]


@pytest.mark.parametrize(
    ("act", "named", "field"),
    [
        ("draft-rate", {"process_synchronously": True}, "process_synchronously"),
        ("draft-rate", {"usage_input_ids": ["IN-9"]}, "usage_input_ids"),
        ("rate", {"usage_input_ids": []}, "usage_input_ids"),
        ("rate", {"usage_input_ids": BOTH, "asset_line_item_ids": ["AL-1"]}, "asset_line_item_ids"),
        ("rate", {"usage_input_id": BOTH}, "/usage_input_id"),
        ("rate", {"usage_input_ids": BOTH[0]}, "/usage_input_ids"),
        ("unrate", {}, "usage_input_ids"),
        ("unrate", {"usage_input_ids": BOTH, "process_synchronously": "yes"}, "/process_synchronously"),
        ("delete", {"selection_id": "SEL-none"}, "selection_id"),
    ],
)
def test_what_does_not_say_which_inputs_are_meant_is_refused_and_leaves_no_run(
    doors: CheckedClient, caller: Caller, act: str, named: dict[str, Any], field: str
) -> None:
    refused = doors.post(f"{INPUTS}/{act}", json=named, headers=caller("operator"))
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert doors.get("/api/v1/runs", headers=caller("viewer")).json() == {"items": [], "next": None}


def test_a_thousand_are_rated_at_once_and_one_more_is_refused(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    day = {
        "asset_line_item_id": "AL-1",
        "usage_date": "2023-06-07",
        "quantity": "0.001",
        "product_uom": "Each",
    }
    rows = ["usage_input_id," + ",".join(day)] + [
        f"IN-X{number}," + ",".join(day.values()) for number in range(999)
    ]
    with_csv(app, rows)
    everything = [BOTH[0], BOTH[1], *(f"IN-X{number}" for number in range(999))]
    sync = {"process_synchronously": True}
    refused = doors.post(
        f"{INPUTS}/draft-rate", json={"usage_input_ids": everything, **sync}, headers=caller("operator")
    )
    assert (refused.status_code, "1,000" in refused.json()["detail"]) == (422, True)
    done = doors.post(
        f"{INPUTS}/draft-rate", json={"usage_input_ids": everything[1:], **sync}, headers=caller("operator")
    )
    assert (done.status_code, len(done.json()["outcomes"])) == (200, 1_000)


def with_csv(app: Application, rows: list[str]) -> None:
    folder = app.settings.mail.directory.parent / "more"
    folder.mkdir()
    (folder / "usage_inputs.csv").write_text("\n".join(rows) + "\n")
    import_paths(app, [folder], actor=ACTOR)


def test_what_is_rated_at_once_with_a_key_is_rated_once(doors: CheckedClient, caller: Caller) -> None:
    headers = caller("operator") | {"Idempotency-Key": "june"}
    wanted = {"usage_input_ids": BOTH, "process_synchronously": True}
    first, again = (doors.post(f"{INPUTS}/rate", json=wanted, headers=headers) for _ in range(2))
    assert (first.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = doors.post(f"{INPUTS}/unrate", json=wanted, headers=headers)
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
    assert len(doors.get("/api/v1/runs", headers=caller("viewer")).json()["items"]) == 1
