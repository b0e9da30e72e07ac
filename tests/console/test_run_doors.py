"""Runs and jobs by the API: looked at in pages, steered, done again."""

from __future__ import annotations

import pytest

from batchwright.operations.app import Application
from batchwright.operations.runs.driving import drive_run, drive_submitted
from batchwright.operations.runs.looking import run_outcomes
from batchwright.operations.runs.previews import run_preview
from batchwright.operations.runs.submitting import submit_run
from tests.console.checked import CheckedClient, read
from tests.console.conftest import Caller
from tests.support.application import ACTOR

RUNS = "/api/v1/runs"
ONE, TWO = "JR-00000001", "JR-00000002"
DRAFT = "draft-usage-rating"

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("seed"),
]


def submit(app: Application, number: int = 1, mode: str = "batch") -> None:
    for _ in range(number):
        submit_run(app, DRAFT, {}, actor=ACTOR, mode=mode, mail_actor=False)


def test_runs_are_found_by_every_filter_and_a_bad_one_is_refused(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    submit(app, 2)
    drive_run(app, ONE, actor=ACTOR)

    def found(query: str) -> list[str]:
        answer = doors.get(f"{RUNS}?{query}", headers=caller("viewer"))
        assert answer.status_code == 200, answer.text
        return [run["run_id"] for run in answer.json()["items"]]

    assert found("") == [TWO, ONE]
    assert found("status=Completed") == found("customer_id=C-1") == found("period=2023-06") == [ONE]
    assert found("status=queued&status=holding") == [TWO]
    assert found("status=Running") == found("errors=true") == found("schedule=none") == []
    assert found(f"job={DRAFT}&actor=dana@example.com&trigger=cli&from=2023-07-01T08:30:00Z") == [TWO, ONE]
    assert found("before=2023-07-01T08:30:00Z") == []
    for query, field in (
        ("status=Done", "status"),
        ("period=June", "period"),
        ("from=2023-07-01T08:30:00", "from"),
        ("limit=1001", "limit"),
        ("limit=0", "limit"),
        ("after=x", "after"),
        ("job=a&job=b", "job"),
        ("jobs=a", "jobs"),
    ):
        refused = doors.get(f"{RUNS}?{query}", headers=caller("viewer"))
        assert (refused.status_code, refused.json()["field"]) == (422, field)


def test_the_log_is_read_in_pages_by_the_link_to_the_next(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    submit(app, 3)
    seen, where = [], f"{RUNS}?limit=2&job={DRAFT}"
    while where:
        page = doors.get(where, headers=caller("viewer"))
        seen.append([run["run_id"][-1] for run in page.json()["items"]])
        assert ("link" in page.headers) is (page.json()["next"] is not None)
        where = page.links["next"]["url"] if page.links else ""
    assert seen == [["3", "2"], ["1"]]
    first = doors.get(f"{RUNS}?limit=2&job={DRAFT}", headers=caller("viewer")).json()["next"]
    other = doors.get(f"{RUNS}?limit=2&after={first}", headers=caller("viewer"))
    assert (other.status_code, other.json()["field"]) == (422, "after")


def test_a_run_that_waits_is_paused_resumed_moved_held_and_ended(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    submit(app, 9)
    last = "JR-00000009"

    def act(path: str, role: str = "operator", **body: object) -> tuple[int, object]:
        answer = doors.post(f"{RUNS}/{path}", json=body, headers=caller(role))
        return answer.status_code, answer.json().get("status")

    assert act(f"{ONE}/pause", reason="month end") == (202, "Paused")
    assert act(f"{ONE}/pause") == (409, 409)
    assert act(f"{ONE}/resume") == (202, "Queued")
    assert act(f"{last}/move", front=True) == (200, "Holding")
    assert act(f"{last}/move", after="JR-00000008") == (200, "Holding")
    assert act(f"{last}/move", front=True, end=True) == (422, 422)
    assert act(f"{last}/move", before="JR-99999999") == (422, 422)
    assert act(f"{last}/hold") == (403, 403)
    assert act(f"{last}/hold", "administrator") == (200, "Paused")
    assert act(f"{last}/resume") == (403, 403)
    assert act(f"{last}/resume", "administrator") == (202, "Holding")
    assert act(f"{ONE}/abort") == (202, "Aborted")
    assert act(f"{ONE}/abort") == (409, 409)
    assert act("JR-99999999/pause") == (404, 404)


def test_what_was_not_reached_is_done_again_at_once_or_in_batch_mode(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    submit(app)
    early = doors.post(f"{RUNS}/{ONE}/retry", json={}, headers=caller("operator"))
    assert (early.status_code, early.json()["field"]) == (409, "run_id")
    ids = {"usage_input_ids": ["IN-00007052"]}
    doors.post(RUNS, json={"job": DRAFT, "parameters": ids}, headers=caller("operator"))
    doors.post(f"{RUNS}/{TWO}/abort", json={}, headers=caller("operator"))
    how = {"mode": "sync", "reason": "again"}
    done = doors.post(f"{RUNS}/{TWO}/retry", json=how, headers=caller("operator"))
    assert (done.status_code, done.json()["parent_run_id"], done.json()["reason"]) == (200, TWO, "again")
    taken = doors.post(f"{RUNS}/{TWO}/retry", json={}, headers=caller("operator"))
    assert (taken.status_code, taken.json()["mode"]) == (202, "batch")
    assert taken.headers["location"] == f"{RUNS}/{taken.json()['run_id']}"


def test_a_preview_is_read_in_pages_and_applied(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    wanted = {"job": "usage-rating", "mode": "dry_run"}
    assert doors.post(RUNS, json=wanted, headers=caller("operator")).status_code == 202
    drive_run(app, ONE, actor=ACTOR)
    whole = list(run_preview(app, ONE))
    assert len({line["kind"] for line in whole}) == 3
    for limit in (1, 3, 1000):
        assert read(doors, caller("viewer"), f"{RUNS}/{ONE}/preview?limit={limit}") == whole
    inputs = read(doors, caller("viewer"), f"{RUNS}/{ONE}/preview?by=input&limit=1")
    assert inputs == [line for line in whole if line["kind"] == "usage_input"]
    done = doors.post(f"{RUNS}/{ONE}/apply", json={"mode": "sync"}, headers=caller("operator"))
    assert (done.status_code, done.json()["totals"]) == (200, {"rated_amount": {"USD": "6000.00"}})
    none = doors.get(f"{RUNS}/{TWO}/preview", headers=caller("viewer"))
    assert (none.status_code, none.json()["field"]) == (422, "run_id")


def test_outcomes_are_read_in_pages_and_counted(
    doors: CheckedClient, app: Application, caller: Caller
) -> None:
    submit(app)
    drive_run(app, ONE, actor=ACTOR)
    whole = list(run_outcomes(app, ONE))
    assert read(doors, caller("viewer"), f"{RUNS}/{ONE}/outcomes?limit=1") == whole
    assert read(doors, caller("viewer"), f"{RUNS}/{ONE}/outcomes?outcome=error") == []
    assert read(doors, caller("viewer"), f"{RUNS}/{ONE}/outcomes?first_record=2") == whole[1:]
    an_id = whole[1]["record_id"]
    assert read(doors, caller("viewer"), f"{RUNS}/{ONE}/outcomes?record_id={an_id}") == whole[1:2]
    counted = doors.get(f"{RUNS}/{ONE}/outcomes/summary", headers=caller("viewer")).json()
    assert counted["items"] == [{"outcome": "ok", "code": None, "count": 2}]
    progress = doors.get(f"{RUNS}/{ONE}/progress", headers=caller("viewer")).json()
    assert (progress["scopes"], progress["strip"][0]["records"]) == (1, 2)
    for path in ("outcomes", "outcomes/summary", "preview", "progress"):
        assert doors.get(f"{RUNS}/JR-99999999/{path}", headers=caller("viewer")).status_code == 404
    refused = doors.get(f"{RUNS}/{ONE}/outcomes?outcome=bad", headers=caller("viewer"))
    assert (refused.status_code, refused.json()["field"]) == (422, "outcome")


def test_an_unrating_shows_what_it_restated(doors: CheckedClient, app: Application, caller: Caller) -> None:
    for job in ("usage-rating", "usage-unrating"):
        ids = {"usage_input_ids": ["IN-00007052"]}
        drive_submitted(app, submit_run(app, job, ids, actor=ACTOR, claim=True))
    assert doors.get(f"{RUNS}/{TWO}", headers=caller("viewer")).json()["restated"] == []


def test_a_job_tells_what_it_takes(doors: CheckedClient, caller: Caller) -> None:
    jobs = doors.get("/api/v1/jobs", headers=caller("viewer")).json()["items"]
    assert DRAFT in {job["name"] for job in jobs}
    shown = doors.get(f"/api/v1/jobs/{DRAFT}", headers=caller("viewer")).json()
    assert "usage_input_ids" in shown["parameters"]["properties"]
    unknown = doors.get("/api/v1/jobs/draft", headers=caller("viewer"))
    assert (unknown.status_code, unknown.json()["field"]) == (404, "job")


def test_a_run_of_a_job_for_billing_admins_is_refused_to_an_operator(
    doors: CheckedClient, caller: Caller
) -> None:
    wanted = {
        "job": "data-recalculation",
        "parameters": {"customer_id": "C-1", "periods": ["2023-06"], "reason": "Incorrect Charges"},
    }
    assert doors.post(RUNS, json=wanted, headers=caller("operator")).status_code == 403
    taken = doors.post(RUNS, json=wanted, headers=caller("Billing Utilities Admin"))
    assert (taken.status_code, taken.json().get("field")) == (409, "customer_id")  # no account is under it
