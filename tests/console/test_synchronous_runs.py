"""Runs that are done in the request of who waits for their outcomes, many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
from anyio import CapacityLimiter, to_thread
from starlette.testclient import TestClient

from batchwright.config.settings import Settings
from batchwright.console.server import make_asgi
from batchwright.console.traffic import Traffic, synchronous_runs
from batchwright.engine import BatchJob, Record, Scope
from batchwright.engine.job import StartContext
from batchwright.operations.app import Application, make_application
from tests.console.conftest import Caller, Visit
from tests.support.application import make_settings

ALL_AT_ONCE = 12
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
AT_ONCE = {"process_synchronously": True}
ONE = {"usage_input_ids": ["IN-1"]}
HERE: dict[str, Any] = {
    "/api/v1/runs": {"job": "in-pairs", "mode": "sync"},
    "/api/v1/runs/JR-1/retry": {"mode": "sync"},
    "/api/v1/runs/JR-1/apply": {"mode": "sync"},
    **{f"/api/v1/usage-inputs/{act}": ONE | AT_ONCE for act in ("draft-rate", "rate", "unrate")},
    **{f"/api/v1/usage-inputs/{act}": ONE for act in ("reset", "delete")},
}
"""A request for each door that does runs."""
ELSEWHERE: dict[str, Any] = {
    "/api/v1/runs": {"job": "draft-usage-rating"},
    "/api/v1/runs/JR-1/retry": {},
    "/api/v1/runs/JR-1/apply": {},
    "/api/v1/runs/JR-1/abort": {},
    **{f"/api/v1/usage-inputs/{act}": ONE for act in ("draft-rate", "rate", "unrate")},
    "/api/v1/usage-inputs/reset": ONE | {"process_synchronously": False},
}
"""Requests that do none."""


class InPairs(BatchJob):
    """Begins when another run of it begins, and gives its records out of order: it is then looked whether one came
    twice, on a connection beside that of the run and that of ``start``.
    """

    name, type = "in-pairs", "In pairs"
    pair: ClassVar[threading.Barrier]

    def count(self, context: StartContext, at_most: int) -> int:
        return 2

    def start(self, context: StartContext) -> Iterable[Record]:
        self.pair.wait(60)
        return [Record(2), Record(1)]

    def execute(self, scope: Scope) -> None:
        """Nothing."""


@pytest.fixture
def scarce(migrated_url: str, tmp_path: Path, app: Application) -> Iterator[Application]:
    """An application on the database of `app` with as few connections as the settings allow."""
    InPairs.pair = threading.Barrier(2)
    settings = make_settings(migrated_url, tmp_path, pool_size=1, max_overflow=4, max_active_runs=4)
    made = make_application(settings, clock=app.clock)
    made.registry.get("draft-usage-rating")
    made.registry.add(InPairs)
    yield made
    made.close()


@pytest.mark.on_both
def test_many_synchronous_runs_at_once_leave_each_other_the_connections_that_they_need(
    scarce: Application, caller: Caller
) -> None:
    headers = caller("operator")
    asgi = make_asgi(scarce, host="127.0.0.1", worker_expected=False)

    def submit(number: int) -> Any:
        keyed = {"Idempotency-Key": str(number)} if number % 2 else {}
        return web.post("/api/v1/runs", json={"job": "in-pairs", "mode": "sync"}, headers=headers | keyed)

    with (
        TestClient(asgi, base_url="http://127.0.0.1", raise_server_exceptions=False) as web,
        ThreadPoolExecutor(ALL_AT_ONCE) as pool,
    ):
        answers = list(pool.map(submit, range(ALL_AT_ONCE)))
    assert [one.status_code for one in answers] == [200] * ALL_AT_ONCE
    assert {one.json()["status"] for one in answers} == {"Completed"}


@pytest.mark.parametrize(
    ("pool_size", "max_overflow", "at_once"), [(5, -1, 4), (5, 15, 4), (9, 0, 4), (8, 0, 3), (1, 4, 2)]
)
def test_so_many_synchronous_runs_are_at_work_as_find_connections(
    pool_size: int, max_overflow: int, at_once: int
) -> None:
    settings = Settings(pool_size=pool_size, max_overflow=max_overflow, max_active_runs=4)
    assert synchronous_runs(settings) == at_once


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[CapacityLimiter | None]:
    """The lanes in which threads are at work from now on."""
    found: list[CapacityLimiter | None] = []
    run_sync = to_thread.run_sync

    def noted(*given: Any, limiter: CapacityLimiter | None = None, **named: Any) -> Any:
        found.append(limiter)
        return run_sync(*given, limiter=limiter, **named)

    monkeypatch.setattr(to_thread, "run_sync", noted)
    return found


@on_sqlite
@pytest.mark.parametrize("path", HERE)
def test_a_door_that_does_a_run_waits_for_the_lane_of_those(
    web: TestClient, caller: Caller, traffic: Traffic, lanes: list[CapacityLimiter | None], path: str
) -> None:
    web.post(path, json=HERE[path], headers=caller("administrator"))
    assert traffic.runs_lane in lanes


@on_sqlite
@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_door_that_leaves_the_run_to_others_waits_for_no_lane(
    web: TestClient, caller: Caller, traffic: Traffic, lanes: list[CapacityLimiter | None], path: str
) -> None:
    web.post(path, json=ELSEWHERE[path], headers=caller("administrator"))
    assert lanes
    assert traffic.runs_lane not in lanes


@on_sqlite
@pytest.mark.parametrize("path", ["/usage-inputs/IN-1/rate", "/usage-inputs/selections/S-1/rate"])
def test_a_form_that_does_a_run_waits_for_the_lane_of_those(
    web: TestClient, visit: Visit, traffic: Traffic, lanes: list[CapacityLimiter | None], path: str
) -> None:
    web.post(path, data={"csrf_token": visit("operator")}, headers={"Origin": "http://127.0.0.1"})
    assert traffic.runs_lane in lanes
