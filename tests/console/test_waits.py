"""Waiting for a run to change, by `?wait=`, and what it costs the process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from batchwright.console.traffic import Traffic
from batchwright.console.waiting import RunWatcher, Seen
from batchwright.engine.faults import ReadTooLong
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.authentication import authenticate_token
from batchwright.operations.access.tokens import make_token, revoke_token
from batchwright.operations.access.users import add_user, disable_user
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.runs.controls import abort_run, pause_run
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import submit_run
from tests.console.conftest import Caller
from tests.support.application import ACTOR

ONE = "/api/v1/runs/JR-00000001"
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def _request(gone: Callable[[], bool] = lambda: False) -> Request:
    async def receive() -> dict[str, Any]:
        while not gone():
            await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def _caller(app: Application, email: str) -> Actor:
    add_user(app, email, "administrator", actor=ACTOR)
    return authenticate_token(app, make_token(app, email, actor=ACTOR).text, "127.0.0.1")


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@pytest.mark.on_both
def test_any_number_of_waiters_takes_one_thread_and_one_read_and_all_hear_of_the_change(
    app: Application,
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    watch, actors = RunWatcher(app), [_caller(app, f"{name}@example.com") for name in ("jane", "joe")]
    before = threading.active_count()

    async def wait(number: int) -> int:
        seen = watch.version("JR-00000001")
        waiting = [
            asyncio.create_task(watch.changed(_request(), actors[n % 2], "JR-00000001", seen, 30))
            for n in range(number)
        ]
        await _until(lambda: watch.waiters == number)
        threads = threading.active_count() - before
        steer = pause_run if number == 1 else abort_run
        await asyncio.get_running_loop().run_in_executor(None, lambda: steer(app, "JR-00000001", actor=ACTOR))
        heard = await asyncio.wait_for(asyncio.gather(*waiting), 20)
        shown = heard[0]
        assert shown is not None
        assert all(one is shown for one in heard)
        assert json.loads(shown.body)["status"] == show_run(app, "JR-00000001")["status"]
        return threads

    assert [asyncio.run(wait(1)), asyncio.run(wait(100))] == [1, 1]
    assert watch.waiters == 0


@on_sqlite
def test_who_goes_away_waits_no_more(app: Application) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    watch = RunWatcher(app)
    disconnected = threading.Event()

    async def wait() -> None:
        seen = watch.version("JR-00000001")
        waiting = asyncio.create_task(
            watch.changed(_request(disconnected.is_set), ACTOR, "JR-00000001", seen, 30)
        )
        await _until(lambda: watch.waiters == 1)
        disconnected.set()
        await asyncio.wait_for(waiting, 20)

    asyncio.run(wait())
    assert watch.waiters == 0


@on_sqlite
def test_nobody_waits_where_too_many_do_or_the_process_ends(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    watch = RunWatcher(app)
    monkeypatch.setattr("batchwright.console.waiting.MOST_WAITERS", 1)

    async def wait() -> None:
        seen = watch.version("JR-00000001")
        first = asyncio.create_task(watch.changed(_request(), ACTOR, "JR-00000001", seen, 30))
        await _until(lambda: watch.waiters == 1)
        await watch.changed(_request(), ACTOR, "JR-00000001", seen, 30)  # at once
        assert not first.done()
        watch.end()
        await asyncio.wait_for(first, 20)
        await watch.changed(_request(), ACTOR, "JR-00000001", seen, 30)

    asyncio.run(asyncio.wait_for(wait(), 25))


@on_sqlite
def test_a_wait_is_answered_when_the_run_changes(
    web: TestClient, app: Application, caller: Caller, traffic: Traffic
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    viewer, watch = caller("viewer"), traffic.watch
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(web.get, f"{ONE}?wait=30", headers=viewer)
        while not watch.waiters:
            assert not waiting.done()
        abort_run(app, "JR-00000001", actor=ACTOR)
        heard = waiting.result(20)
    assert heard.json()["status"] == "Aborted"
    again = web.get(f"{ONE}?wait=30", headers=viewer)  # ended: at once
    assert (again.status_code, again.json()["status"]) == (200, "Aborted")


@on_sqlite
def test_who_may_not_look_any_more_does_not_hear_of_the_change(
    web: TestClient, app: Application, caller: Caller, traffic: Traffic
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    callers = [caller(role) for role in ("viewer", "operator", "Billing Utilities Admin")]
    watch = traffic.watch
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(web.get, f"{ONE}?wait=30", headers=headers) for headers in callers]
        while watch.waiters < 3:
            assert not any(one.done() for one in waiting)
        revoke_token(app, "viewer@example.com", "token-1", actor=ACTOR)
        disable_user(app, "operator@example.com", actor=ACTOR)
        abort_run(app, "JR-00000001", actor=ACTOR)
        heard = [one.result(20) for one in waiting]
    assert [one.status_code for one in heard] == [403, 403, 200]
    assert "was revoked" in heard[0].json()["detail"]
    assert "is disabled" in heard[1].json()["detail"]
    refused = [
        entry["subject"] for entry in list_audit(app, actor=ACTOR) if entry["act"] == "permission.refused"
    ]
    assert refused == ["run.show", "run.show"]


@on_sqlite
def test_who_has_waited_for_long_enough_is_shown_the_run_as_it_is(app: Application) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    watch, viewer = RunWatcher(app), _caller(app, "jane@example.com")

    async def wait() -> Seen | None:
        seen = watch.version("JR-00000001")
        return await watch.changed(_request(), viewer, "JR-00000001", seen, 0.01)

    heard = asyncio.run(asyncio.wait_for(wait(), 20))
    assert heard is not None
    assert json.loads(heard.body)["status"] == "Holding"


@on_sqlite
def test_who_waits_for_a_run_that_cannot_be_read_looks_alone(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    watch = RunWatcher(app)

    def fail(*_: object) -> None:
        raise ReadTooLong(2)

    monkeypatch.setattr("batchwright.console.waiting.show_run_to", fail)
    waiting = watch.changed(_request(), ACTOR, "JR-00000001", None, 30)
    assert asyncio.run(asyncio.wait_for(waiting, 20)) is None


@on_sqlite
def test_who_last_saw_another_state_is_answered_at_once(
    web: TestClient, app: Application, caller: Caller
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    viewer = caller("viewer")
    seen = web.get(ONE, headers=viewer).headers["etag"]
    pause_run(app, "JR-00000001", actor=ACTOR)
    late = web.get(f"{ONE}?wait=30", headers=viewer | {"If-None-Match": seen})
    assert late.json()["status"] == "Paused"


@on_sqlite
@pytest.mark.parametrize("wait", ["0", "31", "x", "-1", "1e30", ""])
def test_a_wait_is_of_1_to_30_seconds(web: TestClient, caller: Caller, wait: str) -> None:
    refused = web.get(f"{ONE}?wait={wait}", headers=caller("viewer"))
    assert (refused.status_code, refused.json()["field"]) == (422, "wait")
