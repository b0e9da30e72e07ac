"""The figures that are counted of events."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY, generate_latest

from batchwright.engine import events
from batchwright.engine.job import Scope
from batchwright.engine.metrics import Metrics
from batchwright.engine.schedule import NotRunCause
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

RUN = "JR-00000042"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def figure(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"batchwright_{name}", labels)


def test_a_run_is_counted_with_its_records_by_job_and_outcome(rig: Rig, spy: type[Parcels]) -> None:
    def report(scope: Scope) -> None:
        if scope.number == 1:
            scope.error(1, "bad", "it is bad")
            scope.skip(2, "not now", "later")

    spy.on_execute = staticmethod(report)
    metrics = Metrics()
    rig.subscribers.append(metrics)
    rig.fill(25)
    rig.drive()
    counted = {one: figure(metrics, "records_total", job="parcels", outcome=one) for one in ("ok", "error")}
    assert counted == {"ok": 23, "error": 1}
    assert figure(metrics, "records_total", job="parcels", outcome="skipped") == 1
    assert figure(metrics, "runs_ended_total", job="parcels", state="Completed") == 1
    assert figure(metrics, "scope_seconds_count", job="parcels") == 3


def test_the_seconds_of_a_scope_fall_into_their_bucket(metrics: Metrics) -> None:
    metrics(
        events.ScopeDone(
            run_id=RUN, job="parcels", scope=1, ok=1, errored=0, skipped=0, seconds=0.3, done=1, total=1
        )
    )
    assert figure(metrics, "scope_seconds_bucket", job="parcels", le="0.25") == 0
    assert figure(metrics, "scope_seconds_bucket", job="parcels", le="0.5") == 1


@pytest.mark.parametrize(
    "left",
    [
        events.RunEnded(RUN, "parcels", "Failed", "no"),
        events.RunHandedBack(RUN),
        events.RunPaused(RUN),
        events.RunLost(RUN, "taken over"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_a_run_is_at_work_from_its_start_until_this_process_leaves_it(
    metrics: Metrics, left: events.Event
) -> None:
    metrics(events.RunStarted(RUN, "parcels", 1))
    metrics(events.RunStarted("JR-00000043", "parcels", 1))
    assert figure(metrics, "runs_at_work") == 2
    metrics(left)
    assert figure(metrics, "runs_at_work") == 1


def test_a_run_that_ended_while_it_waited_was_never_at_work(metrics: Metrics) -> None:
    metrics(events.RunEnded(RUN, "parcels", "Aborted", None))
    assert figure(metrics, "runs_at_work") == 0


@pytest.mark.parametrize(
    ("event", "name", "labels"),
    [
        (events.RunSubmitted(RUN, "parcels", "batch", "dana"), "runs_submitted", {"job": "parcels", "mode": "batch"}),
        (events.RunTakenOver(RUN, "elsewhere/1"), "takeovers", {}),
        (events.RunLost(RUN, "taken over"), "runs_lost", {}),
        (events.ScopeRetried(RUN, 1, 2, "locked"), "scope_retries", {}),
        (events.RecordErrored(RUN, 1, 7, "ValueError: no"), "records_unforeseen", {}),
        (events.WorkerReplaced("local", "killed"), "workers_replaced", {"executor": "local"}),
        (
            events.ExecutorFellBack(RUN, "dask://a:1", "local", "silent"),
            "executor_fallbacks",
            {"executor": "dask://a:1"},
        ),
        (events.MailSent("ML-00000001", RUN), "mails", {"result": "sent"}),
        (events.MailDeferred("ML-00000001", RUN, "later"), "mails", {"result": "put off"}),
        (events.MailFailed("ML-00000001", RUN, "never"), "mails", {"result": "failed"}),
        (events.RunEnded(RUN, "parcels", "Aborted", None, 5), "records", {"job": "parcels", "outcome": "not_reached"}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_each_event_raises_its_counter(
    metrics: Metrics, event: events.Event, name: str, labels: dict[str, str]
) -> None:
    metrics(event)
    raised = figure(metrics, f"{name}_total", **labels)
    assert raised == (5 if name == "records" else 1)


def test_two_applications_count_apart_and_none_in_the_registry_of_the_process() -> None:
    one, other = Metrics(), Metrics()
    one(events.RunTakenOver(RUN, "elsewhere/1"))
    assert (figure(one, "takeovers_total"), figure(other, "takeovers_total")) == (1, 0)
    assert b"batchwright" not in generate_latest(REGISTRY)


def test_times_of_schedules_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    metrics(events.ScheduleFired("Nightly", at, RUN, 0.2))
    metrics(events.ScheduleTimesNotRun("Nightly", at, at, 5, NotRunCause.PAUSED, "paused"))
    counted = [
        figure(metrics, "schedule_times_total", schedule="Nightly", decision=decision)
        for decision in ("started", "not_run")
    ]
    assert counted == [1, 5]


def test_late_runs_and_pings_are_counted_by_how_they_were(metrics: Metrics) -> None:
    metrics(events.ScheduleLate("Nightly", "2026-11-01T00:00:00.000Z", "not_run", None, 3))
    metrics(events.PingSent("Nightly", RUN))
    metrics(events.PingFailed("Nightly", RUN, 1, "no answer", is_last=False))
    assert figure(metrics, "schedule_late_total", late="not_run") == 1
    assert figure(metrics, "pings_total", result="answered") == 1
    assert figure(metrics, "pings_total", result="not answered") == 1
