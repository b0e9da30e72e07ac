"""`serve`: the web in this process, and a worker as its child."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
from collections.abc import Collection
from contextlib import suppress
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from batchwright.console.api.application import make_web
from batchwright.console.envelope import Envelope
from batchwright.console.metrics import MetricsDoor, registry_of
from batchwright.console.pages.application import Fork, make_pages
from batchwright.console.prefix import Prefix
from batchwright.console.probes import Probes
from batchwright.console.protocol import Protocol
from batchwright.console.traffic import Traffic
from batchwright.console.worker_child import WorkerChild
from batchwright.operations.app import Application

SECONDS_TO_END = 10
"""So long running requests may take after a signal."""
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
"""As in glibc's malloc.h."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def make_asgi(
    app: Application, *, host: str, worker_expected: bool, traffic: Traffic | None = None
) -> ASGIApp:
    """The whole of the web: doors, probes, and what surrounds every request."""
    traffic = traffic or Traffic(app)
    web = make_web(app, traffic)
    web.router.routes.extend(Probes(app, worker_expected=worker_expected).routes())
    web.router.routes.extend(MetricsDoor(app, registry_of(app, traffic)).routes())
    base = urlsplit(app.settings.base_url)
    hosts = {*LOOPBACK, _as_host(host), (base.hostname or "").lower()}
    inner: ASGIApp = Fork(web, make_pages(app, traffic))
    if app.settings.base_path:
        inner = Prefix(inner, app.settings.base_path)
    return Envelope(inner, hosts=hosts, https=base.scheme == "https")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, on a free port where it is 0. Raises ``OSError`` where the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=512)


def serve(
    app: Application,
    listening: socket.socket,
    *,
    host: str,
    worker: bool,
    proxies: Collection[str] = (),
    traffic: Traffic | None = None,
) -> int:
    """Answer requests on the socket until SIGTERM or SIGINT; returns the worker's exit code, 0 without one.

    Running requests are answered first; then the worker drains. A second signal ends both at once.

    Args:
        proxies: addresses whose ``X-Forwarded-…`` headers are believed.
    """
    child = WorkerChild(app.settings.base_url) if worker else None
    traffic = traffic or Traffic(app)
    config = uvicorn.Config(
        make_asgi(app, host=host, worker_expected=worker, traffic=traffic),
        http=Protocol,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        server_header=False,
        date_header=True,
        access_log=False,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=SECONDS_TO_END,
        ws="none",
    )
    give_memory_back()
    gc.freeze()  # what is loaded stays: to look for garbage in it would hold up whoever is answered then
    server = _Server(config, child, traffic)
    server.run(sockets=[listening])
    return child.stop() if child is not None else 0


def give_memory_back() -> None:
    """Have the threads share one heap, and give long answers back to the system: else each of glibc's heaps keeps the
    most that it ever had. Other C libraries do as they do.
    """
    with suppress(OSError, AttributeError):
        of_c = ctypes.CDLL(None)
        of_c.mallopt(M_ARENA_MAX, 1)
        of_c.mallopt(M_MMAP_THRESHOLD, 256 * 1024)


class _Server(uvicorn.Server):
    """Hands a signal on to the worker; the second one ends both at once."""

    def __init__(self, config: uvicorn.Config, child: WorkerChild | None, traffic: Traffic) -> None:
        super().__init__(config)
        self._child = child
        self._traffic = traffic
        self._signals = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        self._signals += 1
        if self._child is not None:
            self._child.signal(signal.SIGTERM if self._signals == 1 else signal.SIGKILL)
        if self._signals > 1:
            os._exit(128 + sig)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer requests from now on, and only then have a worker, which takes seconds of a processor to start."""
        await super().startup(sockets)
        if self._child is not None:
            self._child.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all waits, and the running requests."""
        self._traffic.watch.end()
        await super().shutdown(sockets)


def _as_host(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host else host.lower()
