"""Pruning by the API and by its page, and what either says of a run that is pruned."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.runs.pruning import delete_pruned, prune_runs
from tests.console.checked import CheckedClient
from tests.console.conftest import Caller, Visit
from tests.operations.pruned import RATING, age, run
from tests.support.application import ACTOR

RUNS = "/api/v1/runs"
pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("company"),
]


@pytest.fixture
def old(app: Application) -> list[str]:
    """A forecast with errors and a dry run, both of last year."""
    ids = [run(app), run(app, RATING, mode="dry_run")]
    age(app)
    return ids


@pytest.fixture
def pruned(app: Application, old: list[str]) -> list[str]:
    """The same, pruned."""
    prune_runs(app, "90d", actor=ACTOR)
    delete_pruned(app)
    return old


def test_who_calls_sees_the_numbers_prunes_just_these_and_is_answered_alike_the_second_time(
    doors: CheckedClient, app: Application, caller: Caller, old: list[str]
) -> None:
    root = caller("administrator")
    for role in ("operator", "Billing Utilities Admin"):
        assert doors.get(f"{RUNS}/prune?older_than=90d", headers=caller(role)).status_code == 403
        assert (
            doors.post(f"{RUNS}/prune", json={"older_than": "90d"}, headers=caller(role)).status_code == 403
        )
    plan = doors.get(f"{RUNS}/prune?older_than=90d&job={RATING}", headers=root).json()
    assert (plan["runs"], plan["jobs"], plan["unfinished"]) == (1, [RATING], 0)
    plan = doors.get(f"{RUNS}/prune?older_than=90d", headers=root).json()
    asked = {"older_than": plan["older_than"], "expected": 3}
    refused = doors.post(f"{RUNS}/prune", json=asked, headers=root)
    assert (refused.status_code, refused.json()["detail"]) == (
        412,
        "these were 3 runs, and became 2 after this was shown",
    )
    asked |= {"expected": plan["runs"], "reason": "room"}
    done, again = (
        doors.post(f"{RUNS}/prune", json=asked, headers={**root, "Idempotency-Key": "k1"}) for _ in range(2)
    )
    assert (
        done.json()
        == again.json()
        == {name: plan[name] for name in plan if name != "scopes"} | {"unfinished": 2}
    )
    assert [one["act"] for one in list_audit(app)].count("run.prune") == 1
    for text in ("soon", "23h", "2030-01-01"):
        refused = doors.post(f"{RUNS}/prune", json={"older_than": text}, headers=root)
        assert (refused.status_code, refused.json()["field"]) == (422, "older_than")
        again = doors.get(f"{RUNS}/prune?older_than={text}", headers=root)
        assert again.json()["detail"] == refused.json()["detail"]


def test_a_program_is_told_of_what_was_pruned_that_it_is_gone_and_still_sees_the_run(
    doors: CheckedClient, caller: Caller, pruned: list[str]
) -> None:
    forecast, dry = pruned
    operator = caller("operator")
    for path in ("outcomes", "outcomes.csv", "outcomes.ndjson", "outcomes?outcome=error", "progress"):
        gone = doors.get(f"{RUNS}/{forecast}/{path}", headers=operator)
        assert (gone.status_code, gone.json()["run_id"]) == (410, forecast), path
        assert gone.json()["detail"].startswith(f"{forecast} was pruned on 2023-07-01: "), path
        assert gone.json()["remedy"], path
    assert doors.get(f"{RUNS}/{dry}/preview", headers=operator).status_code == 410
    for run_id, act in ((forecast, "retry"), (dry, "apply"), (dry, "retry")):
        gone = doors.post(f"{RUNS}/{run_id}/{act}", json={}, headers=operator)
        assert (gone.status_code, gone.json()["field"]) == (410, "run_id"), act
    shown = doors.get(f"{RUNS}/{forecast}", headers=operator).json()
    assert shown["pruned_at"] == "2023-07-01T08:30:00.000Z"
    assert shown["errored"] > 0
    listed = doors.get(RUNS, headers=operator).json()["items"]
    assert {one["pruned_at"] for one in listed} == {shown["pruned_at"]}
    summary = doors.get(f"{RUNS}/{forecast}/outcomes/summary", headers=operator).json()["items"]
    assert sum(one["count"] for one in summary if one["outcome"] == "error") == shown["errored"]


def test_an_administrator_sees_what_goes_types_the_number_and_prunes(
    web: TestClient, app: Application, visit: Visit, old: list[str]
) -> None:
    visit("operator")
    assert "/prune-runs" not in web.get("/runs").text
    assert web.get("/prune-runs").status_code == 403
    token = visit("administrator")
    assert 'href="/prune-runs"' in web.get("/runs").text
    asked = web.get("/prune-runs")
    assert asked.status_code == 200
    assert "can be pruned" not in asked.text
    wrong = web.get("/prune-runs?older_than=soon")
    assert (wrong.status_code, "is not an age or a date" in wrong.text) == (422, True)
    page = web.get("/prune-runs?older_than=90d").text
    assert "2 runs can be pruned" in page
    assert "cannot be undone" in page
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    form = {**hidden, "csrf_token": token, "reason": "room", "typed": "3"}
    refused = web.post("/prune-runs", data=form)
    assert (refused.status_code, "3 was typed, not 2" in refused.text) == (422, True)
    assert 'value="room"' in refused.text
    done = web.post("/prune-runs", data={**form, "typed": "2"}, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/runs?done=runs-pruned")
    assert "The runs are pruned" in web.get(done.headers["location"]).text
    assert "0 runs can be pruned" in web.get("/prune-runs?older_than=90d").text
    assert "2 runs whose records are not all deleted yet" in web.get("/prune-runs?older_than=90d").text
    (entry,) = [one for one in list_audit(app) if one["act"] == "run.prune"]
    assert (entry["actor"], entry["reason"]) == ("administrator@example.com", "room")


def test_a_number_that_has_changed_since_is_shown_again_before_anything_is_done(
    web: TestClient, app: Application, visit: Visit, old: list[str]
) -> None:
    token = visit("administrator")
    page = web.get("/prune-runs?older_than=90d").text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    prune_runs(app, "90d", [RATING], actor=ACTOR)
    refused = web.post("/prune-runs", data={**hidden, "csrf_token": token, "typed": "2"})
    assert (refused.status_code, "1 run can be pruned" in refused.text) == (422, True)
    assert "these were 2 runs, and became 1" in refused.text


def test_the_pages_of_a_pruned_run_say_so_in_words_and_lead_to_what_is_left(
    web: TestClient, visit: Visit, pruned: list[str]
) -> None:
    token = visit("operator")
    forecast, dry = pruned
    for path in (
        f"/runs/{forecast}/outcomes",
        f"/runs/{forecast}/outcomes?outcome=error&code=no_price",
        f"/runs/{forecast}/outcomes.csv",
        f"/runs/{forecast}/retry",
        f"/runs/{dry}/preview",
        f"/runs/{dry}/apply",
    ):
        gone = web.get(path)
        run_id = path.split("/")[2]
        assert gone.status_code == 410, path
        assert f"{run_id} was pruned on 2023-07-01" in gone.text, path
        assert f'href="/runs/{run_id}"' in gone.text, path
    for path in (f"/runs/{forecast}/retry", f"/runs/{dry}/apply"):
        sent = web.post(path, data={"csrf_token": token, "typed": dry})
        assert sent.status_code == 410, path
    page = web.get(f"/runs/{forecast}").text
    assert "It was pruned on" in page
    assert "no_price" in page
    assert f"/runs/{forecast}/outcomes" not in page
    assert f"/runs/{forecast}/retry" not in page
    page = web.get(f"/runs/{dry}").text
    assert f"/runs/{dry}/preview" not in page
    for path in ("/", "/runs", f"/runs/{forecast}/error"):
        assert f"/runs/{forecast}" in (page := web.get(path).text), path
        assert f"/runs/{forecast}/outcomes" not in page, path


def test_a_page_of_an_amount_says_that_the_run_which_made_it_was_pruned(
    web: TestClient, app: Application, visit: Visit
) -> None:
    rated = run(app, RATING)
    age(app)
    prune_runs(app, "90d", actor=ACTOR)
    visit("viewer")
    listed = web.get("/usage-inputs?status=Rated").text
    there = re.findall(r'href="(/usage-inputs/IN-[0-9]+)"', listed)[0]
    page = web.get(there).text
    assert f'href="/runs/{rated}"' in page
    assert "its list of records is gone, the amount is not" in page
