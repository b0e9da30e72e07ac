"""Counts the events of runs and mails, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from batchwright.engine import events
from batchwright.engine.events import Event

SCOPE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the histogram's buckets: from a scope of a few records to one that lasts half an hour."""


class Metrics:
    """A subscriber that counts, from its making on, what this process does.

    ``registry`` holds the figures. They are of one process: several are added up by Prometheus, and what a process
    of a pool meets inside a scope (a retry, an exception of a record) is counted there.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._active: set[str] = set()
        self._submitted = self._counter("runs_submitted", "Runs enqueued here", "job", "mode")
        self._ended = self._counter("runs_ended", "Runs that came to their end here", "job", "state")
        self._takeovers = self._counter("takeovers", "Runs taken over from a process that was gone")
        self._lost = self._counter("runs_lost", "Runs that this process had to let go unended")
        self._records = self._counter("records", "Records by what became of them", "job", "outcome")
        self._retries = self._counter("scope_retries", "Scopes tried again after a passing fault")
        self._unforeseen = self._counter(
            "records_unforeseen", "Records that raised an exception nobody foresaw"
        )
        self._replaced = self._counter(
            "workers_replaced", "Processes of a pool that were replaced", "executor"
        )
        self._fell_back = self._counter(
            "executor_fallbacks", "Runs whose executor did not answer", "executor"
        )
        self._late = self._counter("schedule_late", "Times of schedules that somebody was told of", "late")
        self._pings = self._counter("pings", "Calls of ping addresses by how they ended", "result")
        self._fires = self._counter(
            "schedule_times", "Nominal times by what became of them", "schedule", "decision"
        )
        self._mails = self._counter("mails", "Attempts at mails by how they ended", "result")
        self._seconds = Histogram(
            "batchwright_scope_seconds",
            "Seconds from the first try of a scope to its commit",
            ["job"],
            buckets=SCOPE_SECONDS,
            registry=self.registry,
        )
        active_runs = Gauge(
            "batchwright_runs_at_work", "Runs that this process works on now", registry=self.registry
        )
        active_runs.set_function(lambda: len(self._active))

    def __call__(self, event: Event) -> None:
        """Count an event."""
        self._count_run(event)
        match event:
            case events.ScopeDone():
                self._count_scope(event)
            case events.ScopeRetried():
                self._retries.inc()
            case events.RecordErrored():
                self._unforeseen.inc()
            case events.WorkerReplaced():
                self._replaced.labels(event.executor).inc()
            case events.ExecutorFellBack():
                self._fell_back.labels(event.executor).inc()
            case events.ScheduleLate():
                self._late.labels(event.late).inc()
            case events.PingSent():
                self._pings.labels("answered").inc()
            case events.PingFailed():
                self._pings.labels("not answered").inc()
            case events.ScheduleFired():
                self._fires.labels(event.schedule, "started").inc()
            case events.ScheduleTimesNotRun():
                self._fires.labels(event.schedule, "not_run").inc(event.count)
            case events.MailSent():
                self._mails.labels("sent").inc()
            case events.MailDeferred():
                self._mails.labels("put off").inc()
            case events.MailFailed():
                self._mails.labels("failed").inc()

    def _count_run(self, event: Event) -> None:
        match event:
            case events.RunSubmitted():
                self._submitted.labels(event.job, event.mode).inc()
            case events.RunTakenOver():
                self._takeovers.inc()
            case events.RunStarted():
                self._active.add(event.run_id)
            case events.RunHandedBack() | events.RunPaused():
                self._active.discard(event.run_id)
            case events.RunLost():
                self._active.discard(event.run_id)
                self._lost.inc()
            case events.RunEnded():
                self._active.discard(event.run_id)
                self._ended.labels(event.job, event.state).inc()
                self._records.labels(event.job, "not_reached").inc(event.not_reached)

    def _count_scope(self, event: events.ScopeDone) -> None:
        self._seconds.labels(event.job).observe(event.seconds)
        for outcome, number in (("ok", event.ok), ("error", event.errored), ("skipped", event.skipped)):
            self._records.labels(event.job, outcome).inc(number)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"batchwright_{name}", meaning, labels, registry=self.registry)
