"""The table of roles over HTTP: every door there is, by every token there can be."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.permissions import Right
from batchwright.operations.access.tokens import make_token, revoke_token
from batchwright.operations.access.users import add_user, disable_user
from batchwright.operations.app import Application
from batchwright.testing.clock import StandingClock
from tests.console.conftest import Caller
from tests.console.routes_there_are import routes_there_are
from tests.support.application import ACTOR, remove_user

V1 = "/api/v1"
TABLE = {
    Right.LOOK: [
        "GET /api/docs",
        "GET /api/openapi.json",
        f"GET {V1}/account-charges",
        f"GET {V1}/accounts",
        f"GET {V1}/accounts/{{account_id}}",
        f"GET {V1}/asset-line-items",
        f"GET {V1}/asset-line-items/{{asset_line_item_id}}",
        f"GET {V1}/billing-schedules",
        f"GET {V1}/billing-schedules/{{billing_schedule_id}}",
        f"GET {V1}/contracts",
        f"GET {V1}/contracts/{{contract_id}}",
        f"GET {V1}/cron/explain",
        f"GET {V1}/custom-line-items",
        f"GET {V1}/custom-line-items/{{line_item_id}}",
        f"GET {V1}/customers",
        f"GET {V1}/customers/{{customer_id}}",
        f"GET {V1}/forecast",
        f"GET {V1}/jobs",
        f"GET {V1}/jobs/{{job}}",
        f"GET {V1}/mail",
        f"GET {V1}/mail/{{mail_id}}",
        f"GET {V1}/me",
        f"GET {V1}/price-books",
        f"GET {V1}/price-books/{{price_book_id}}",
        f"GET {V1}/prices",
        f"GET {V1}/prices/{{price_id}}",
        f"GET {V1}/runs",
        f"GET {V1}/runs/{{run_id}}",
        f"GET {V1}/runs/{{run_id}}/outcomes",
        f"GET {V1}/runs/{{run_id}}/outcomes.csv",
        f"GET {V1}/runs/{{run_id}}/outcomes.ndjson",
        f"GET {V1}/runs/{{run_id}}/outcomes/summary",
        f"GET {V1}/runs/{{run_id}}/preview",
        f"GET {V1}/runs/{{run_id}}/progress",
        f"GET {V1}/schedules",
        f"GET {V1}/schedules/{{name}}",
        f"GET {V1}/schedules/{{name}}/fires",
        f"GET {V1}/schedules/{{name}}/next",
        f"GET {V1}/usage-inputs",
        f"GET {V1}/usage-inputs.csv",
        f"GET {V1}/usage-inputs.ndjson",
        f"GET {V1}/usage-inputs/{{usage_input_id}}",
        f"GET {V1}/usage-inputs/{{usage_input_id}}/explanation",
        f"GET {V1}/usage-inputs/{{usage_input_id}}/history",
        f"GET {V1}/usage-schedules",
        f"GET {V1}/workers",
        f"PATCH {V1}/me/preferences",
    ],
    Right.OPERATE: [
        f"DELETE {V1}/schedules/{{name}}",
        f"GET {V1}/asset-line-items/{{asset_line_item_id}}/amendment",
        f"PATCH {V1}/schedules/{{name}}",
        f"PATCH {V1}/usage-inputs/{{usage_input_id}}",
        f"POST {V1}/acknowledgements",
        f"POST {V1}/asset-line-items/{{asset_line_item_id}}/amendment",
        f"POST {V1}/mail/{{mail_id}}/retry",
        f"POST {V1}/runs",
        f"POST {V1}/runs/{{run_id}}/abort",
        f"POST {V1}/runs/{{run_id}}/apply",
        f"POST {V1}/runs/{{run_id}}/move",
        f"POST {V1}/runs/{{run_id}}/pause",
        f"POST {V1}/runs/{{run_id}}/resume",
        f"POST {V1}/runs/{{run_id}}/retry",
        f"POST {V1}/schedules",
        f"POST {V1}/schedules/apply",
        f"POST {V1}/schedules/{{name}}/backfill",
        f"POST {V1}/schedules/{{name}}/pause",
        f"POST {V1}/schedules/{{name}}/resume",
        f"POST {V1}/schedules/{{name}}/rewind",
        f"POST {V1}/schedules/{{name}}/run-now",
        f"POST {V1}/selections",
        f"POST {V1}/usage-inputs",
        f"POST {V1}/usage-inputs/delete",
        f"POST {V1}/usage-inputs/draft-rate",
        f"POST {V1}/usage-inputs/rate",
        f"POST {V1}/usage-inputs/reset",
        f"POST {V1}/usage-inputs/unrate",
    ],
    Right.BILLING: [
        f"GET {V1}/billing-schedules/status",
        f"GET {V1}/recalculation/offer",
        f"POST {V1}/billing-schedules/status",
        f"POST {V1}/imports",
    ],
    Right.ADMINISTER: [
        f"GET {V1}/audit",
        f"GET {V1}/audit/verify",
        f"GET {V1}/users",
        f"GET {V1}/users/{{email}}/sessions",
        f"GET {V1}/users/{{email}}/tokens",
        f"GET {V1}/runs/prune",
        f"POST {V1}/runs/prune",
        f"POST {V1}/runs/{{run_id}}/hold",
        f"POST {V1}/schedules/hold",
        f"POST {V1}/users",
        f"POST {V1}/users/{{email}}/disable",
        f"POST {V1}/users/{{email}}/enable",
        f"POST {V1}/users/{{email}}/preferences",
        f"POST {V1}/users/{{email}}/role",
        f"POST {V1}/users/{{email}}/sessions/end",
        f"POST {V1}/users/{{email}}/sessions/{{session_id}}/end",
        f"POST {V1}/users/{{email}}/tokens",
        f"POST {V1}/users/{{email}}/tokens/{{name}}/revoke",
    ],
}
NEEDED = {door: right for right, doors in TABLE.items() for door in doors}
ORDER = list(Right)

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def ask(web: TestClient, door: str, headers: dict[str, str]) -> int:
    """The status of a request with which nothing can be done."""
    method, _, path = door.partition(" ")
    body: dict[str, object] | None = {} if method in ("POST", "PATCH") else None
    return web.request(method, re.sub(r"{\w+}", "x", path), json=body, headers=headers).status_code


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def token(
    app: Application, email: str, role: str | None = None, expires: str | None = None
) -> dict[str, str]:
    return bearer(make_token(app, email, role=role, expires=expires, actor=ACTOR).text)


def test_every_door_is_in_the_table() -> None:
    assert sorted(name for name, _ in routes_there_are()) == sorted(NEEDED)


@on_sqlite
def test_every_door_is_forbidden_to_lower_roles_and_lower_tokens_and_each_attempt_is_recorded(
    web: TestClient, app: Application, caller: Caller
) -> None:
    root = "root@example.com"
    holders = {right: [caller(right)] for right in Right}
    for ceiling in Right:
        holders[ceiling].append(token(app, root, role=ceiling))
    holders[Right.LOOK].append(token(app, "viewer@example.com", role=Right.ADMINISTER))
    refused: Counter[str] = Counter()
    for door, needed in NEEDED.items():
        for right, tokens in holders.items():
            may = ORDER.index(right) >= ORDER.index(needed)
            # Of those who may, the lowest; what a role may, every higher one may (`test_permissions`).
            for headers in tokens if not may or right is needed else []:
                status = ask(web, door, headers)
                assert (status == 403) is not may, (door, right, status)
                assert status not in (401, 405, 500), (door, right, status)
                refused[needed] += status == 403
    entries = [entry for entry in list_audit(app) if entry["act"] == "permission.refused"]
    assert Counter(entry["after"]["needed"] for entry in entries) == +refused
    assert {entry["door"] for entry in entries} == {"api"}
    assert all(entry["credential"] and entry["address"] for entry in entries)


@on_sqlite
def test_nobody_is_let_in_whose_token_is_not_good(
    web: TestClient, app: Application, caller: Caller, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = caller("administrator")
    for name in ("disabled", "gone", "revoked"):
        add_user(app, f"{name}@example.com", "administrator", actor=ACTOR)
    others = [token(app, f"{name}@example.com") for name in ("disabled", "gone", "revoked")]
    others += [token(app, "revoked@example.com", expires="2023-07-01"), {}, bearer(""), bearer("bw_x")]
    disable_user(app, "disabled@example.com", actor=ACTOR)
    remove_user(app, "gone@example.com")
    revoke_token(app, "revoked@example.com", "token-1", actor=ACTOR)
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    for door in NEEDED:
        assert {ask(web, door, headers) for headers in others} == {401}, door
    assert ask(web, f"GET {V1}/me", good) == 200
