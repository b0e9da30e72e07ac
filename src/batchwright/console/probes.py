"""What machines ask: is the process alive, is it ready? In a lane of its own, never behind pages."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from batchwright.console.problems import RETRY_AFTER_SECONDS
from batchwright.engine.errors import Refused
from batchwright.engine.faults import is_transient
from batchwright.operations.app import Application
from batchwright.operations.workers import missing_parts

T = TypeVar("T")


class Probes:
    """The addresses that are probed.

    Args:
        worker_expected: whether the service is ready only with a worker that beats (`serve` without ``--no-worker``).
    """

    def __init__(self, app: Application, *, worker_expected: bool) -> None:
        self._app = app
        self._worker_expected = worker_expected
        self._lane: CapacityLimiter | None = None

    def routes(self) -> list[Route]:
        """Their routes."""
        return [
            Route("/healthz", self.health, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def health(self, _: Request) -> Response:
        """The process answers; no database is asked."""
        return PlainTextResponse("ok\n")

    async def ready(self, _: Request) -> Response:
        """Whether database, schema and a worker are there: 200, or 503 with what is missing."""
        missing = await self._apart(self._missing)
        status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
        later = {"Retry-After": str(RETRY_AFTER_SECONDS)} if missing else None
        return JSONResponse({"ready": not missing, "missing": missing}, status.value, later)

    def _missing(self) -> list[str]:
        try:
            return missing_parts(self._app, worker_expected=self._worker_expected)
        except Refused:
            return ["database"]
        except Exception as error:
            if is_transient(error):
                return ["database"]
            raise

    async def _apart(self, act: Callable[[], T]) -> T:
        self._lane = self._lane or CapacityLimiter(2)
        return await to_thread.run_sync(act, limiter=self._lane)
