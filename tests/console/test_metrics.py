"""`/metrics`: read by Prometheus' own parser, and open to nobody who comes by another machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert
from starlette.testclient import TestClient

from batchwright.console.server import make_asgi
from batchwright.engine.faults import ReadTooLong
from batchwright.engine.store.tables import schedule, schedule_fire
from batchwright.operations.app import Application, make_application
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from batchwright.testing.clock import StandingClock
from tests.console.conftest import Caller
from tests.support.application import ACTOR, NOW, make_settings

ON_SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def read(text: str) -> dict[str, float]:
    """Each figure by its name and labels: `batchwright_runs Queued`."""
    return {
        " ".join([sample.name.removeprefix("batchwright_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def fill(app: Application) -> None:
    """Two runs that have ended, two that wait, and times of a schedule."""
    ended = submit_run(app, "draft-usage-rating", {}, actor=ACTOR, sync=True)
    drive_submitted(app, ended, mail=False)
    for _ in range(3):
        last = submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    abort_run(app, last.run_id, actor=ACTOR, mail=False)
    columns = {"name": "nightly", "cron": "0 0 1 * * ?", "time_zone": "UTC", "job": "usage-rating"}
    lists = {"parameters": "{}", "notify": "[]", "misfire": "all", "cap": 1, "overlap": "skip"}
    flags = {"owner": "dana", "mail_owner": False, "paused": False}
    times = {"created_at": NOW, "timed_at": NOW}
    with app.database.write() as connection:
        connection.execute(insert(schedule).values(id=1, **columns, **lists, **flags, **times))
        for decision, cause, minutes, count in (
            ("started", None, 10, 1),
            ("started", None, 5, 1),
            ("not_run", "paused", 30, 7),
            ("not_run", "paused", 200, 1_000),
        ):
            when = NOW - timedelta(minutes=minutes)
            late = when + timedelta(seconds=minutes)
            fire = {"nominal_time": when, "last_nominal_time": when, "recorded_at": late}
            expected = {"schedule_id": 1, "decision": decision, "cause": cause, "count": count}
            connection.execute(insert(schedule_fire).values(**fire, **expected))


@pytest.mark.on_both
def test_the_figures_are_those_of_the_database(web: TestClient, app: Application) -> None:
    fill(app)
    app.clock = StandingClock(NOW + timedelta(seconds=90))
    near = TestClient(web.app, base_url="http://127.0.0.1", client=("127.0.0.1", 5000))
    answer = near.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    figures = read(answer.text)
    expected = {
        "database_up": 1,
        "runs Holding": 0,
        "runs Queued": 2,
        "run_oldest_seconds Queued": 90,
        "queue_runs": 2,
        "queue_oldest_seconds": 90,
        "runs_of_day Completed": 1,
        "runs_of_day Aborted": 1,
        "runs_of_day Failed": 0,
        "records_of_day error": 0,
        "schedule_times_started": 2,
        "schedule_times_not_run paused": 7,
        "mail failed": 0,
        "workers": 0,
        "web_waiters": 0,
        "web_refused_total heavy reads": 0,
        "web_refused_total strangers": 0,
    }
    assert {name: figures[name] for name in expected} == expected
    assert figures["schedule_latest_seconds"] == pytest.approx(10, abs=0.01)
    assert "runs_taken_over" in figures


@ON_SQLITE
@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("203.0.113.7", {}),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.7"}),
        ("127.0.0.1", {"Forwarded": "for=203.0.113.7"}),
    ],
)
def test_who_comes_by_another_machine_needs_a_token(
    web: TestClient, caller: Caller, client: str, headers: dict[str, str]
) -> None:
    far = TestClient(web.app, base_url="http://127.0.0.1", client=(client, 5000))
    refused = far.get("/metrics", headers=headers)
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    assert far.get("/metrics", headers=headers | caller("viewer")).status_code == 200


@pytest.fixture
def public(migrated_url: str, tmp_path: Path) -> Iterator[TestClient]:
    """The web of a service that people reach by a name."""
    app = make_application(make_settings(migrated_url, tmp_path, base_url="https://bills.example.com"))
    asgi = make_asgi(app, host="127.0.0.1", worker_expected=False)
    yield TestClient(asgi, base_url="http://127.0.0.1", client=("127.0.0.1", 5000))
    app.close()


@ON_SQLITE
def test_where_people_come_by_a_name_a_caller_on_the_machine_may_be_a_proxy(public: TestClient) -> None:
    assert public.get("/metrics").status_code == 401


@ON_SQLITE
def test_figures_are_read_once_for_all_who_ask_within_seconds(
    web: TestClient, app: Application, caller: Caller
) -> None:
    viewer = caller("viewer")
    before = read(web.get("/metrics", headers=viewer).text)
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    assert read(web.get("/metrics", headers=viewer).text)["runs Queued"] == before["runs Queued"] == 0


@ON_SQLITE
def test_a_database_that_does_not_answer_is_told_as_a_figure(
    web: TestClient, monkeypatch: pytest.MonkeyPatch, caller: Caller, app: Application
) -> None:
    viewer = caller("viewer")

    def fail(_: Application) -> None:
        raise ReadTooLong(5)

    monkeypatch.setattr("batchwright.console.metrics.service_figures", fail)
    figures = read(web.get("/metrics", headers=viewer).text)
    assert figures["database_up"] == 0
    assert "runs Queued" not in figures


@ON_SQLITE
def test_every_figure_stands_in_the_documentation(web: TestClient, caller: Caller, app: Application) -> None:
    text = web.get("/metrics", headers=caller("viewer")).text
    found = {family.name.removeprefix("batchwright_") for family in text_string_to_metric_families(text)}
    of_worker = {family.name.removeprefix("batchwright_") for family in app.metrics.registry.collect()}
    page = (Path(__file__).parents[2] / "docs" / "watching.md").read_text()
    documented = set(re.findall(r"`([a-z_]+?)(?:_total)?(?:\{[a-z,]+\})?`", page))
    assert (found | of_worker) - documented == set()
