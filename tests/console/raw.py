"""A real server of any application, and what it says to bytes."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from batchwright.console.protocol import Protocol
from batchwright.console.server import listen


@contextmanager
def serving(asgi: ASGIApp, *, seconds_to_end: int | None = None) -> Iterator[tuple[str, int]]:
    """The address of a server, which ends when all that it does has ended."""
    config = uvicorn.Config(
        asgi,
        http=Protocol,
        log_config=None,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=seconds_to_end,
    )
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()
        finally:
            server.should_exit = True
            thread.join()


def said_until_closed(client: socket.socket) -> bytes:
    """All that the server says until it hangs up."""
    return b"".join(iter(lambda: client.recv(65_536), b""))


def answers(address: tuple[str, int], *sent: bytes) -> bytes:
    """All that is answered to what is sent, piece by piece, after which the server hangs up."""
    with socket.create_connection(address, timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in sent:
            client.sendall(piece)
        return said_until_closed(client)


def statuses(said: bytes) -> list[int]:
    """Of all answers in it."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]
