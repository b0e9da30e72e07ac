"""How much one caller may take of a process, and how long a page may be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from batchwright.console.api.routes import runs
from batchwright.console.problems import Problem
from batchwright.console.server import make_asgi
from batchwright.console.traffic import Limits, Traffic
from batchwright.engine.faults import ReadTooLong
from batchwright.engine.store.read_limit import READ_SECONDS
from batchwright.operations.access.tokens import revoke_token
from batchwright.operations.actor import Door, network_of
from batchwright.operations.app import Application, make_application
from batchwright.operations.runs.submitting import submit_run
from tests.console.conftest import Caller
from tests.console.routes_there_are import routes_there_are
from tests.support.application import ACTOR, make_settings

ONE = "/api/v1/runs/JR-00000001"
REQUIRED = {
    "preview_billing_schedule_status": {"ready_by": "2023-07-01", "status": "invoiced"},
    "preview_prune": {"older_than": "90d"},
}
"""What the query of a heavy read has to hold, by its operation."""
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def test_a_caller_sends_a_burst_and_then_so_many_requests_a_second() -> None:
    now = [100.0]
    limits = Limits(per_second=20, burst=60, now=lambda: now[0])

    def admitted(caller: str) -> int:
        for number in range(1_000):
            try:
                limits.admit(caller)
            except Problem:
                return number
        return 1_000

    assert [admitted("jane"), admitted("jane"), admitted("joe")] == [60, 0, 60]
    now[0] += 0.5
    assert admitted("jane") == 10
    now[0] += 1_000
    assert admitted("jane") == 60
    assert limits.refused == {"requests": 5}


def test_of_too_many_callers_those_are_forgotten_who_have_been_quiet_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchwright.console.traffic.MOST_KNOWN", 100)
    limits = Limits(burst=2, now=lambda: 0.0)
    for number in range(300):
        limits.admit(f"caller {number}")
        with suppress(Problem):
            limits.admit("caller 0")
    assert len(limits._allowances) == 100
    with pytest.raises(Problem):
        limits.admit("caller 0")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::7", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_of_ipv6_counts_with_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


@on_sqlite
def test_who_guesses_tokens_is_told_to_wait_and_nobody_else_at_the_address(
    app: Application, caller: Caller, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    anonymous = Limits(per_second=1, burst=3, now=lambda: now[0])
    traffic = Traffic(app, Limits(burst=1_000_000), anonymous)
    asgi = make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=traffic)
    viewer, operator = caller("viewer"), caller("operator")

    def ask(headers: dict[str, str]) -> int:
        return near.get(ONE, headers=headers).status_code

    with TestClient(asgi, base_url="http://127.0.0.1") as near:
        far = TestClient(asgi, base_url="http://127.0.0.1", client=("203.0.113.7", 5000))
        assert ask(viewer) == 404
        guesses = [{"Authorization": f"Bearer bw_{n}"} for n in range(6)]
        assert [ask(guess) for guess in [*guesses, {}]] == [401] * 3 + [429] * 4
        refused = near.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert capfd.readouterr().err.count("a caller was not let in") == 3
        assert ask(viewer) == 404  # let in before
        assert ask(operator) == 429
        assert far.get(ONE, headers=operator).status_code == 404
        assert far.get(ONE).status_code == 401
        revoke_token(app, "viewer@example.com", "token-1", actor=ACTOR)
        now[0] += 1
        assert [ask(viewer), ask(viewer)] == [401, 429]
        now[0] += 1
        assert [ask(operator), ask(operator)] == [404, 404]


def test_a_caller_has_so_many_at_a_time() -> None:
    limits = Limits()
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(limits.at_a_time("heavy reads", "jane", 2))
        with pytest.raises(Problem, match="more than 2 heavy reads at a time"):
            held.enter_context(limits.at_a_time("heavy reads", "jane", 2))
        held.enter_context(limits.at_a_time("heavy reads", "joe", 2))
        held.enter_context(limits.at_a_time("waits", "jane", 2))
    with limits.at_a_time("heavy reads", "jane", 1):
        pass


@on_sqlite
def test_who_sends_too_many_requests_is_told_when_to_come_again(app: Application, caller: Caller) -> None:
    asgi = make_asgi(
        app, host="127.0.0.1", worker_expected=False, traffic=Traffic(app, Limits(1e-9, burst=2))
    )
    with TestClient(asgi, base_url="http://127.0.0.1") as web:
        answers = [web.get(ONE, headers=caller("viewer")) for _ in range(3)]
        assert [one.status_code for one in answers] == [404, 404, 429]
        assert int(answers[2].headers["retry-after"]) >= 1
        assert answers[2].headers["content-type"] == "application/problem+json"
        assert web.get(ONE, headers=caller("operator")).status_code == 404
        assert web.get("/healthz").status_code == 200


@pytest.fixture
def impatient() -> Iterator[None]:
    """A read may take 20 ms."""
    token = READ_SECONDS.set(0.02)
    yield
    READ_SECONDS.reset(token)


@pytest.mark.on_both
def test_a_read_that_takes_too_long_is_ended_and_the_next_is_read(app: Application, impatient: None) -> None:
    endless = text(
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 1000000000)"
        " SELECT count(*) FROM t"
    )
    for read in (app.database.read, app.database.read_autocommit):
        with pytest.raises(ReadTooLong), read() as connection:
            connection.execute(endless).scalar_one()
    token = READ_SECONDS.set(30)
    with app.database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    READ_SECONDS.reset(token)


@on_sqlite
def test_who_asks_for_too_much_to_read_is_told_so(
    web: TestClient, app: Application, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)

    def show_slowly(*_: object, **__: object) -> None:
        raise ReadTooLong(READ_SECONDS.get() or 0)

    monkeypatch.setattr(runs, "show_run", show_slowly)
    answer = web.get(ONE, headers=caller("viewer"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "longer than 5 seconds" in answer.json()["detail"]


@on_sqlite
def test_the_connections_of_the_web_keep_few_pages(app: Application) -> None:
    kept = []
    for door in (Door.CLI, Door.API):
        other = make_application(app.settings, door=door)
        with other.database.read() as connection:
            kept.append(connection.execute(text("PRAGMA cache_size")).scalar_one())
        other.close()
    assert kept == [-64_000, -4_000]


@on_sqlite
def test_who_has_two_heavy_reads_at_work_gets_no_third_at_any_of_their_doors(
    web: TestClient, caller: Caller, traffic: Traffic
) -> None:
    admin = caller("administrator")
    heavy = [
        f"{re.sub(r'{.*?}', 'x', route.path)}?{urlencode(REQUIRED.get(route.name, {}))}"
        for _, route in routes_there_are()
        if (route.openapi_extra or {}).get("x-heavy")
    ]
    assert len(heavy) >= 7
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(traffic.limits.at_a_time("heavy reads", "administrator@example.com", 2))
        answers = {path: web.get(path, headers=admin).status_code for path in heavy}
        assert answers == dict.fromkeys(heavy, 429)
        assert web.get("/api/v1/runs", headers=admin).status_code == 200


@pytest.mark.on_both
@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_who_asks_while_no_connection_is_free_may_ask_again(
    migrated_url: str, tmp_path: Path, app: Application, caller: Caller
) -> None:
    headers = caller("viewer")
    settings = make_settings(
        migrated_url, tmp_path, pool_size=1, max_overflow=4, pool_timeout=0.05, max_active_runs=4
    )
    scarce = make_application(settings, clock=app.clock)
    with (
        ExitStack() as taken,
        TestClient(
            make_asgi(scarce, host="127.0.0.1", worker_expected=False), base_url="http://127.0.0.1"
        ) as web,
    ):
        for _ in range(5):
            taken.enter_context(scarce.database.read())
        answer = web.get("/api/v1/runs", headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        taken.close()
        assert web.get("/api/v1/runs", headers=headers).status_code == 200
    scarce.close()
