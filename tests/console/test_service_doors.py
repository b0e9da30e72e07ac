"""The doors of schedules, mail, users, the audit trail, workers, what was imported, and imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from batchwright.billing import sample
from batchwright.console.api.models.audit import AuditEntry, AuditVerification
from batchwright.console.api.models.imports import ImportReport
from batchwright.console.api.models.loaded import (
    Account,
    Contract,
    Customer,
    CustomLineItem,
    Price,
    PriceBook,
    WholeAccount,
    WholeContract,
    WholeCustomer,
    WholeCustomLineItem,
    WholePrice,
    WholePriceBook,
)
from batchwright.console.api.models.mail import Mail, WholeMail
from batchwright.console.api.models.runs import Run
from batchwright.console.api.models.schedules import (
    AppliedSchedules,
    Backfill,
    Explanation,
    Fire,
    Hold,
    NextFires,
    Schedule,
    WholeSchedule,
)
from batchwright.console.api.models.users import Me, NewTokenText, Token, User
from batchwright.console.api.models.workers import Worker
from batchwright.operations.access import audit_trail
from batchwright.operations.access.authentication import authenticate_token
from batchwright.operations.access.sealing import seal_committed
from batchwright.operations.access.tokens import make_token
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application
from batchwright.operations.billing.loaded import Kind, list_loaded
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.workers import Presence
from batchwright.testing.clock import StandingClock
from tests.console.conftest import Caller
from tests.console.shapes import assert_shape
from tests.support.application import ACTOR

V1 = "/api/v1"
NIGHTLY = {"name": "Draft / nightly", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating"}
ONE = f"{V1}/schedules/Draft%20%2F%20nightly"

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
def call(web: TestClient, caller: Caller) -> Any:
    """Calls as an administrator, and gives the answer after its status was looked at."""

    def call(method: str, path: str, status: int, body: Any = None, **headers: str) -> Any:
        given = caller("administrator") | headers
        found = web.request(
            method, path if path.startswith("/") else f"{V1}/{path}", json=body, headers=given
        )
        assert found.status_code == status, found.text
        return found

    return call


def pages(call: Any, path: str, limit: int) -> list[Any]:
    """The items of all pages of a listing."""
    found, after = [], ""
    while True:
        page = call("GET", f"{path}?limit={limit}{after}", 200).json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


@pytest.mark.parametrize(
    ("kind", "path", "line", "whole"),
    [
        (Kind.CUSTOMER, "customers", Customer, WholeCustomer),
        (Kind.ACCOUNT, "accounts", Account, WholeAccount),
        (Kind.PRICE_BOOK, "price-books", PriceBook, WholePriceBook),
        (Kind.PRICE, "prices", Price, WholePrice),
        (Kind.CONTRACT, "contracts", Contract, WholeContract),
        (Kind.CUSTOM_LINE_ITEM, "custom-line-items", CustomLineItem, WholeCustomLineItem),
    ],
)
def test_what_was_imported_is_listed_in_pages_and_shown_as_the_document_says(
    app: Application,
    company: None,
    call: Any,
    kind: Kind,
    path: str,
    line: type[BaseModel],
    whole: type[BaseModel],
) -> None:
    listed = pages(call, path, 2)
    assert listed == list(list_loaded(app, kind))
    for item in listed:
        assert_shape(line, item)
    for item in listed[:3]:
        an_id = item[next(iter(item))]
        if kind is Kind.PRICE:
            an_id = "/".join((item["price_book_id"], item["product"], item["effective_from"]))
        shown = call("GET", f"{path}/{an_id}?on=2023-06-05", 200).json()
        assert_shape(whole, shown)
        assert shown.items() >= item.items()
        assert shown["on"] == "2023-06-05"
    field = call("GET", f"{path}/B%2FP", 404).json()["field"]
    assert field == ("price_id" if kind is Kind.PRICE else next(iter(listed[0])))
    assert call("GET", f"{path}/B%2FP?on=yesterday", 422).json()["field"] == "on"


def test_a_schedule_is_made_changed_and_taken_away(call: Any) -> None:
    answered = call("POST", "schedules", 201, {**NIGHTLY, "start": "2023-07-10"})
    made = answered.json()
    assert answered.headers["location"] == ONE
    assert_shape(Schedule, made)
    assert (made["owner"], made["start"]) == ("administrator@example.com", "2023-07-10T00:00:00.000Z")
    assert pages(call, "schedules", 1) == [made]
    shown = call("GET", ONE, 200)
    assert_shape(WholeSchedule, shown.json())
    assert call("PATCH", ONE, 428, {"cap": 3}).json()["field"] == "If-Match"
    seen = {"If-Match": shown.headers["etag"]}
    changed = call("PATCH", ONE, 200, {"cap": 3, "start": None}, **seen).json()
    assert (changed["cap"], changed["start"], changed["cron"]) == (3, None, NIGHTLY["cron"])
    call("PATCH", ONE, 412, {"cap": 4}, **seen)
    assert call("PATCH", ONE, 422, {"cap": 0}, **{"If-Match": "*"}).json()["field"] == "cap"
    assert call("PATCH", ONE, 422, {"name": "other"}, **{"If-Match": "*"}).json()["field"] == "/name"
    assert call("DELETE", ONE, 200).json() == changed
    assert call("GET", ONE, 404).json()["field"] == "name"


@pytest.mark.parametrize("terms", [{"cron": "0 0 0 * *"}, {"cron": ""}, {"time_zone": "Mars"}])
def test_a_time_that_cannot_be_read_is_refused_by_the_name_that_it_was_sent_by(
    call: Any, terms: dict[str, str]
) -> None:
    (name,) = terms
    assert call("POST", "schedules", 422, NIGHTLY | terms).json()["field"] == name
    call("POST", "schedules", 201, NIGHTLY)
    assert call("PATCH", ONE, 422, terms, **{"If-Match": "*"}).json()["field"] == name


def test_an_act_of_which_nothing_has_to_be_said_is_done_without_a_body(
    app: Application, company: None, call: Any, caller: Caller
) -> None:
    caller("viewer")
    call("POST", "schedules", 201, NIGHTLY)
    for act in ("pause", "resume"):
        call("POST", f"{ONE}/{act}", 200)
    run = call("POST", f"{ONE}/run-now", 202).headers["location"]
    call("POST", f"{run}/hold", 200)
    call("POST", f"{run}/resume", 202)
    call("POST", f"{run}/pause", 202)
    call("POST", f"{run}/abort", 202)
    call("POST", f"{run}/retry", 409)
    call("POST", f"{run}/apply", 422)
    call("POST", "users/viewer@example.com/sessions/end", 200)
    assert (
        call("POST", f"{ONE}/pause", 415, None, **{"Content-Length": "1"}).json()["field"] == "Content-Type"
    )
    assert call("POST", "usage-inputs/draft-rate", 415).json()["field"] == "Content-Type"


def test_a_schedule_is_paused_held_run_and_told_of(call: Any, clock: StandingClock) -> None:
    call("POST", "schedules", 201, NIGHTLY)
    assert call("POST", f"{ONE}/pause", 200, {"reason": "close"}).json()["paused"] is True
    call("POST", f"{ONE}/pause", 409, {})
    assert call("POST", f"{ONE}/resume", 200, {}).json()["paused"] is False
    held = call("POST", "schedules/hold", 200, {"held": True}).json()
    assert_shape(Hold, held)
    assert call("GET", ONE, 200).json()["held"] is True
    assert call("POST", "schedules/hold", 200, {"held": False}).json()["released_at"] is not None
    call("POST", f"{ONE}/rewind", 409, {})
    times = call("GET", f"{ONE}/next?limit=3", 200).json()
    assert_shape(NextFires, times)
    assert len(times["times"]) == 3
    run = call("POST", f"{ONE}/run-now", 202, {})
    assert_shape(Run, run.json())
    assert call("GET", run.headers["location"], 200).json()["trigger"] == "api"


def test_times_that_were_missed_are_run_and_stand_among_the_fires(call: Any) -> None:
    call("POST", "schedules", 201, {**NIGHTLY, "overlap": "allow"})
    window = {"from": "2023-06-28", "to": "2023-06-30"}
    foreseen = call("POST", f"{ONE}/backfill", 200, {**window, "preview": True}).json()
    done = call("POST", f"{ONE}/backfill", 200, window).json()
    for shown in (foreseen, done):
        assert_shape(Backfill, shown)
    assert [one["nominal_time"] for one in done["times"]] == [
        one["nominal_time"] for one in foreseen["times"]
    ]
    fires = pages(call, f"{ONE}/fires", 2)
    for fire in fires:
        assert_shape(Fire, fire)
    assert [fire["run_id"] for fire in fires] == [one["run_id"] for one in reversed(done["times"])]
    assert call("POST", f"{ONE}/backfill", 422, {**window, "from": "June"}).json()["field"] == "from"


def test_a_text_of_schedules_is_applied(call: Any) -> None:
    text = '0 0 0 ? * * * "Nightly" draft-usage-rating'
    assert call("POST", "schedules/apply", 200, {"text": text, "dry_run": True}).json()["added"] == [
        "Nightly"
    ]
    applied = call("POST", "schedules/apply", 200, {"text": text}).json()
    assert_shape(AppliedSchedules, applied)
    assert call("POST", "schedules/apply", 200, {"text": text}).json()["unchanged"] == ["Nightly"]
    assert "line 1" in call("POST", "schedules/apply", 422, {"text": "nonsense"}).json()["detail"]


def test_an_expression_is_explained(call: Any) -> None:
    assert_shape(Explanation, call("GET", "cron/explain?expression=0+0+22+?+*+6L", 200).json())
    assert call("GET", "cron/explain?expression=x", 422).json()["field"] == "expression"


def test_mail_is_listed_shown_and_tried_again(app: Application, company: None, call: Any) -> None:
    for _ in range(3):
        submitted = submit_run(app, "draft-usage-rating", {}, actor=ACTOR, claim=True)
        drive_submitted(app, submitted)
    listed = pages(call, "mail", 2)
    assert len(listed) == 3
    for item in listed:
        assert_shape(Mail, item)
    shown = call("GET", f"mail/{listed[0]['mail_id']}", 200).json()
    assert_shape(WholeMail, shown)
    assert call("GET", "mail?status=sent&limit=1", 200).json()["items"] == listed[:1]
    of_run = f"mail?kind=run_ended&recipient={shown['recipient']}&run_id={shown['run_id']}"
    assert call("GET", of_run, 200).json()["items"] == listed[:1]
    assert call("GET", "mail?kind=digest", 200).json()["items"] == []
    assert call("GET", "mail?kind=x", 422).json()["field"] == "kind"
    assert call("GET", "mail?status=lost", 422).json()["field"] == "status"
    retried = call("POST", f"mail/{listed[0]['mail_id']}/retry", 200, {"again": True}).json()
    assert_shape(Mail, retried)
    assert call("POST", "mail/ML-9/retry", 404, {}).json()["field"] == "mail_id"


def test_users_are_added_changed_and_listed(call: Any, caller: Caller) -> None:
    added = call("POST", "users", 201, {"email": "Jane@Example.com", "role": "operator"}).json()
    assert_shape(User, added)
    jane = "users/jane@example.com"
    assert call("POST", f"{jane}/role", 200, {"role": "viewer"}).json()["role"] == "viewer"
    assert call("POST", f"{jane}/preferences", 200, {"mail": "digest"}).json()["mail"] == "digest"
    assert call("POST", f"{jane}/disable", 200, {}).json()["disabled"] is True
    enabled = call("POST", f"{jane}/enable", 200, {}).json()
    listed = pages(call, "users", 1)
    assert enabled in listed
    assert len(listed) == 3
    assert call("POST", "users/joe@example.com/disable", 404, {}).json()["field"] == "email"
    assert call("POST", "users", 422, {"email": "x", "role": "operator"}).json()["field"] == "email"


def test_the_text_of_a_token_is_told_when_it_is_made_and_never_again(app: Application, call: Any) -> None:
    add_user(app, "jane@example.com", "operator", actor=ACTOR)
    path = "users/jane@example.com/tokens"
    made = call("POST", path, 201, {"name": "night / day", "role": "viewer", "expires": "2023-12-31"})
    assert_shape(NewTokenText, made.json())
    assert made.headers["cache-control"] == "no-store"
    text = made.json()["token"]
    assert authenticate_token(app, text, "203.0.113.7").name == "jane@example.com"
    assert_shape(Me, call("GET", "me", 200, Authorization=f"Bearer {text}").json())
    (listed,) = pages(call, path, 1)
    assert_shape(Token, listed)
    audit = call("GET", "audit?limit=1000", 200).text
    assert text not in audit + str(listed)
    assert call("POST", f"{path}/night%20%2F%20day/revoke", 200, {}).json()["status"] == "revoked"
    call("POST", f"{path}/night%20%2F%20day/revoke", 404, {})
    call("GET", "me", 401, Authorization=f"Bearer {text}")


def test_who_calls_sees_the_role_that_their_token_leaves_them_and_chooses_their_mail(
    app: Application, web: TestClient, caller: Caller
) -> None:
    caller("operator")
    text = make_token(app, "operator@example.com", role="viewer", actor=ACTOR).text
    headers = {"Authorization": f"Bearer {text}"}
    me = web.get(f"{V1}/me", headers=headers).json()
    assert (me["email"], me["role"], me["right"]) == ("operator@example.com", "operator", "viewer")
    chosen = web.patch(f"{V1}/me/preferences", json={"mail": "errors"}, headers=headers)
    assert (chosen.status_code, chosen.json()["mail"]) == (200, "errors")


def test_the_audit_trail_is_read_in_pages_and_verified(call: Any, caller: Caller) -> None:
    caller("viewer")
    call("GET", "audit", 200)
    entries = pages(call, "audit", 2)
    for entry in entries:
        assert_shape(AuditEntry, entry)
    ids = [entry["entry_id"] for entry in entries]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) > 3
    refused = call("GET", f"audit?act={entries[0]['act']}&door={entries[0]['door']}&limit=1", 200).json()
    assert refused["items"] == entries[:1]
    assert call("GET", f"audit?actor=nobody&after={refused['next']}", 422).json()["field"] == "after"
    assert call("GET", f"audit?before={entries[-1]['at']}", 200).json()["items"] == []
    assert len(call("GET", f"audit?from={entries[-1]['at']}", 200).json()["items"]) == len(entries)
    assert call("GET", "audit?subject=nothing", 200).json()["items"] == []
    assert call("GET", "audit?door=window", 422).json()["field"] == "door"
    verified = call("GET", "audit/verify", 200).json()
    assert_shape(AuditVerification, verified)
    unknown = call("GET", "audit/verify?newest_hash=x", 200).json()
    assert [problem["kind"] for problem in unknown["problems"]][-1:] == ["cut_off"]


def test_a_long_audit_trail_is_verified_part_by_part(
    app: Application, call: Any, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller("viewer")
    number, after = seal_committed(app), 0
    monkeypatch.setattr(audit_trail, "PORTION", 1)
    monkeypatch.setattr("batchwright.console.api.routes.audit.PART_SECONDS", -1.0)
    for expected in [*range(1, number), None]:
        found = call("GET", f"audit/verify?after={after}", 200).json()
        after = found["next_after"]
        assert after == expected
    assert call("GET", f"audit/verify?limit={number}", 200).json()["next_after"] is None


def test_workers_are_listed(app: Application, call: Any) -> None:
    for _ in range(3):
        Presence(app).beat()
    listed = pages(call, "workers", 2)
    assert len(listed) == 3
    for worker in listed:
        assert_shape(Worker, worker)


def sent(*names: str) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (name, (sample.folder() / name).read_bytes())) for name in names]


def test_files_are_imported_as_on_the_command_line(app: Application, web: TestClient, caller: Caller) -> None:
    names = sorted(path.name for path in sample.folder().glob("*.csv"))
    answer = web.post(f"{V1}/imports", files=sent(*names), headers=caller("Billing Utilities Admin"))
    assert answer.status_code == 200, answer.text
    assert_shape(ImportReport, answer.json())
    assert sorted(file["file"] for file in answer.json()["files"]) == names
    assert list(list_loaded(app, Kind.CUSTOMER))


def test_bad_lines_that_are_left_out_come_back_with_the_reason(web: TestClient, caller: Caller) -> None:
    content = b"customer_id,name\nC-1,Good\nC-1,Twice\n"
    files = [("files", ("customers.csv", content))]
    refused = web.post(f"{V1}/imports", files=files, headers=caller("Billing Utilities Admin"))
    assert refused.status_code == 422
    answer = web.post(
        f"{V1}/imports", files=files, data={"skip_bad": "true"}, headers=caller("Billing Utilities Admin")
    ).json()
    assert_shape(ImportReport, answer)
    assert (answer["skipped"], "Twice" in answer["bad_lines"]) == (1, True)


@pytest.mark.parametrize(
    "names",
    [["../customers.csv"], ["/etc/passwd"], ["x\0.csv"], ["nothing.csv"], ["customers.csv", "customers.csv"]],
)
def test_a_file_of_another_name_is_refused_without_telling_places_of_the_machine(
    web: TestClient, caller: Caller, tmp_path: Path, names: list[str]
) -> None:
    files = [("files", (name, b"customer_id,name\nC-1,Good\n")) for name in names]
    refused = web.post(f"{V1}/imports", files=files, headers=caller("Billing Utilities Admin"))
    assert (refused.status_code, refused.json()["field"]) == (422, "files")
    assert "/tmp" not in refused.text
    assert "batchwright-import" not in refused.text


def test_an_import_is_refused_with_each_line_that_is_bad(web: TestClient, caller: Caller) -> None:
    files = {"files": ("customers.csv", b"customer_id,name\nC-1,\n,Good\nC-2,Good\n")}
    refused = web.post(f"{V1}/imports", files=files, headers=caller("Billing Utilities Admin")).json()
    assert [one["field"] for one in refused["errors"]] == ["name", "customer_id"]
    assert "\n".join(one["detail"] for one in refused["errors"]) == refused["detail"]


def test_a_reason_that_no_database_keeps_is_refused(web: TestClient, caller: Caller) -> None:
    refused = web.post(
        f"{V1}/imports",
        files=sent("customers.csv"),
        data={"reason": "a\0b"},
        headers=caller("Billing Utilities Admin"),
    )
    assert (refused.status_code, refused.json()["field"]) == (422, "reason")


def test_a_field_that_is_not_known_or_given_twice_is_refused_and_nothing_is_loaded(
    app: Application, web: TestClient, caller: Caller
) -> None:
    headers = caller("Billing Utilities Admin")
    refused = web.post(
        f"{V1}/imports", files=sent("customers.csv"), data={"skip_bda": "true"}, headers=headers
    )
    assert (refused.status_code, refused.json()["field"]) == (422, "skip_bda")
    twice = {"dry_run": ["true", "false"]}
    refused = web.post(f"{V1}/imports", files=sent("customers.csv"), data=twice, headers=headers)
    assert (refused.status_code, refused.json()["field"]) == (422, "dry_run")
    assert not list(list_loaded(app, Kind.CUSTOMER))


def test_an_import_that_is_no_form_is_refused(web: TestClient, caller: Caller) -> None:
    headers = caller("Billing Utilities Admin")
    assert web.post(f"{V1}/imports", json={}, headers=headers).status_code == 415
    unbound = web.post(f"{V1}/imports", headers=headers | {"Content-Type": "multipart/form-data"})
    assert (unbound.status_code, unbound.json()["detail"]) == (
        400,
        "The body cannot be read as a form: Missing boundary in multipart.",
    )
    empty = {"Content-Type": "multipart/form-data; boundary=x"}
    assert web.post(f"{V1}/imports", content=b"--x--", headers=headers | empty).status_code == 422
