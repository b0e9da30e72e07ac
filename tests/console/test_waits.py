"""Waiting for a run to change, by `?wait=`, and what it costs the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from batchwright.console.waiting import RunWatch
from batchwright.operations.app import Application
from batchwright.operations.runs.steering import abort_run, pause_run
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


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@pytest.mark.on_both
def test_any_number_of_waiters_takes_one_thread_and_all_hear_of_the_change(app: Application) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    watch = RunWatch(app)
    before = threading.active_count()

    async def wait(number: int) -> int:
        seen = watch.version("JR-00000001")
        waiting = [
            asyncio.create_task(watch.changed(_request(), "JR-00000001", seen, 30)) for _ in range(number)
        ]
        await _until(lambda: watch.waiters == number)
        threads = threading.active_count() - before
        steer = pause_run if number == 1 else abort_run
        await asyncio.get_running_loop().run_in_executor(None, lambda: steer(app, "JR-00000001", actor=ACTOR))
        await asyncio.wait_for(asyncio.gather(*waiting), 20)
        return threads

    assert [asyncio.run(wait(1)), asyncio.run(wait(100))] == [1, 1]
    assert watch.waiters == 0


@on_sqlite
def test_who_goes_away_waits_no_more(app: Application) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    watch = RunWatch(app)
    gone = threading.Event()

    async def wait() -> None:
        seen = watch.version("JR-00000001")
        waiting = asyncio.create_task(watch.changed(_request(gone.is_set), "JR-00000001", seen, 30))
        await _until(lambda: watch.waiters == 1)
        gone.set()
        await asyncio.wait_for(waiting, 20)

    asyncio.run(wait())
    assert watch.waiters == 0


@on_sqlite
def test_nobody_waits_where_too_many_do_or_the_process_ends(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    watch = RunWatch(app)
    monkeypatch.setattr("batchwright.console.waiting.MOST_WAITERS", 1)

    async def wait() -> None:
        seen = watch.version("JR-00000001")
        first = asyncio.create_task(watch.changed(_request(), "JR-00000001", seen, 30))
        await _until(lambda: watch.waiters == 1)
        await watch.changed(_request(), "JR-00000001", seen, 30)  # at once
        assert not first.done()
        watch.end()
        await asyncio.wait_for(first, 20)
        await watch.changed(_request(), "JR-00000001", seen, 30)

    asyncio.run(asyncio.wait_for(wait(), 25))


@on_sqlite
def test_a_wait_is_answered_when_the_run_changes(web: TestClient, app: Application, caller: Caller) -> None:
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    viewer, watch = caller("viewer"), web.app._app.state.traffic.watch  # type: ignore[attr-defined]
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
