"""`/metrics`: the figures of the service, for Prometheus. Each stands in docs/watching.md."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batchwright.console.api.door import authenticated
from batchwright.console.traffic import PAGE_SECONDS, Traffic
from batchwright.engine.errors import Refused
from batchwright.engine.faults import ReadTooLong
from batchwright.engine.run import ACTIVE, WAITING
from batchwright.engine.store.read_limit import READ_SECONDS
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.app import Application
from batchwright.operations.figures import Figures, service_figures

KEPT_SECONDS: Final = 5.0
"""So old figures may be: several who ask cost the database no more than one."""
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class ServiceFigures(Collector):
    """Figures of the database, and of the requests to this process."""

    def __init__(self, app: Application, traffic: Traffic) -> None:
        self._app, self._traffic = app, traffic
        self._read_at = -KEPT_SECONDS
        self._figures: Figures | None = None

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering it reads nothing."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The figures; where the database does not answer only those of this process, and `database_up` is 0."""
        figures = self._now()
        yield _one("database_up", "Whether the database answers", float(figures is not None))
        yield from _of_process(self._app, self._traffic)
        if figures is not None:
            yield from _of_database(figures)

    def _now(self) -> Figures | None:
        if time.monotonic() - self._read_at >= KEPT_SECONDS:
            token = READ_SECONDS.set(PAGE_SECONDS)
            try:
                self._figures = service_figures(self._app)
            except (Refused, SQLAlchemyError, ReadTooLong):
                self._figures = None
            finally:
                READ_SECONDS.reset(token)
            self._read_at = time.monotonic()
        return self._figures


def registry_of(app: Application, traffic: Traffic) -> CollectorRegistry:
    """A registry with the figures of the service."""
    registry = CollectorRegistry()
    registry.register(ServiceFigures(app, traffic))
    return registry


def _of_process(app: Application, traffic: Traffic) -> Iterable[Metric]:
    yield _one("web_waiters", "Requests that wait for a run", traffic.watch.waiters)
    yield _one("web_connections", "Connections to the database in use", app.database.connections_in_use())
    name = "batchwright_web_refused"
    refused = CounterMetricFamily(name, "Requests above a limit of their caller", labels=["limit"])
    for limit in ("requests", "waits", "heavy reads"):
        refused.add_metric([limit], traffic.limits.refused[limit])
    refused.add_metric(["strangers"], traffic.anonymous.limits.refused.total())
    yield refused


def _of_database(figures: Figures) -> Iterable[Metric]:
    states = [str(state) for state in (*WAITING, *ACTIVE)]
    runs = {state: figures.runs.get(state, 0) for state in states}
    ages = {state: figures.oldest_runs.get(state, 0.0) for state in states}
    yield _many("runs", "Runs that have not ended", "state", runs)
    yield _many(
        "run_oldest_seconds", "Age of the oldest run of the state since its start or creation", "state", ages
    )
    waiting = ("Holding", "Queued")
    yield _one("queue_runs", "Runs that wait for their turn", sum(runs[state] for state in waiting))
    yield _one("queue_oldest_seconds", "How long the first of them waits", max(ages[one] for one in waiting))
    yield _one("runs_taken_over", "Takeovers of runs at work that have not got on since", figures.takeovers)
    yield _many("runs_of_day", "Runs that began in the last day and have ended", "state", figures.ended)
    yield _many("records_of_day", "Their records by what became of them", "outcome", figures.records)
    started = sum(number for (decision, _), number in figures.times.items() if decision == "started")
    not_run = {cause: number for (decision, cause), number in figures.times.items() if decision == "not_run"}
    yield _one("schedule_times_started", "Nominal times of the last hour that were run", started)
    yield _many("schedule_times_not_run", "Those that were not run", "cause", not_run)
    yield _one("schedule_latest_seconds", "By how much the latest of the last hour was late", figures.latest)
    yield _many("mail", "Mails in the outbox, up to 10,000 of a status", "status", figures.mails)
    yield _one("mail_overdue_seconds", "How long the first mail has been due", figures.mail_overdue)
    yield _one("workers", "Workers that gave a sign in the last minute", figures.workers)


def _one(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"batchwright_{name}", meaning, value=value)


def _many(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"batchwright_{name}", meaning, labels=[label])
    for of, value in values.items():
        family.add_metric([str(of)], value)
    return family


class MetricsDoor:
    """The address. Open to this machine where people come to it by this machine's own name, else to viewers' tokens."""

    def __init__(self, app: Application, registry: CollectorRegistry) -> None:
        self._app, self._registry = app, registry
        self._is_local = is_loopback(urlsplit(app.settings.base_url).hostname or "")
        self._lane = CapacityLimiter(1)

    def routes(self) -> list[Route]:
        """Its route."""
        return [Route("/metrics", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """The figures in Prometheus' text format."""
        if not self._is_open(request):
            await to_thread.run_sync(self._enter, request)
        text = await to_thread.run_sync(generate_latest, self._registry, limiter=self._lane)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    def _is_open(self, request: Request) -> bool:
        """A proxy on this machine calls from it, too: on behalf of anybody."""
        near = request.client is not None and is_loopback(request.client.host)
        return self._is_local and near and not any(name in request.headers for name in FORWARDED)

    def _enter(self, request: Request) -> None:
        permit(self._app, authenticated(request), Right.LOOK, "metrics")


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
