"""What every request passes, and every answer gets, whatever is asked: an id, a limit, headers, a line of the log."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchwright.console.problems import RETRY_AFTER_SECONDS, Problem

MOST_BODY_BYTES: Final = 1_000_000
MOST_IMPORT_BYTES: Final = 200_000_000
"""So much of a body is read; of one that brings files to import, more."""

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none';"
    " object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise (OWASP ASVS 5.0, V3.4)."""
STRICT_TRANSPORT: Final = "max-age=31536000"

_Headers = Iterable[tuple[bytes, bytes]]

log = structlog.get_logger()


class Envelope:
    """Around the whole application.

    Args:
        hosts: names that a request may be for (the header ``Host`` without its port), in lower case.
        https: whether people come by https, and browsers are to stay there.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], https: bool) -> None:
        self._app = app
        self._hosts = hosts
        strict = {"Strict-Transport-Security": STRICT_TRANSPORT} if https else {}
        self._headers = [
            (name.lower().encode(), value.encode()) for name, value in {**HEADERS, **strict}.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._headers)
        problem = self._refusal(exchange)
        if problem is None:
            problem = await exchange.run(self._app)
        if problem is not None and exchange.status is None:
            await problem.response(exchange.request_id)(scope, receive, exchange.send)
        await asyncio.sleep(0)  # whoever else can be answered now is, before this is written down
        exchange.record()

    def _refusal(self, exchange: _Exchange) -> Problem | None:
        host = _without_port(exchange.headers.get("host", ""))
        if host not in self._hosts:
            return Problem(
                HTTPStatus.BAD_REQUEST,
                "This is not the host that the request names",
                "Host",
                "Use the address of the setting base_url",
            )
        return exchange.too_large(exchange.headers.get("content-length", "0"))


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, headers: _Headers) -> None:
        self.request_id = secrets.token_hex(8)
        self.headers = Headers(scope=scope)
        self.status: int | None = None
        self._scope, self._receive, self._send, self._add = scope, receive, send, headers
        self._began = time.perf_counter()
        self._sent = self._read = 0
        self._whole = False
        self._most = MOST_IMPORT_BYTES if scope["path"].endswith("/imports") else MOST_BODY_BYTES
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def run(self, app: ASGIApp) -> Problem | None:
        """Let the application answer; what to answer instead, if it could not."""
        try:
            await app(self._scope, self.receive, self.send)
        except Problem as problem:  # of the body, as it was read
            return problem
        except ClientDisconnect:
            return None  # nobody is there any more to be answered; the line of the log has no status
        except asyncio.CancelledError:  # at a stop, of what took too long
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The service is stopping",
                remedy="Send it again; with the same Idempotency-Key it is done once",
                retry_after=RETRY_AFTER_SECONDS,
            )
        except Exception:
            # The caller gets the id alone; where it was and why is in the log.
            log.exception("a request failed", request_id=self.request_id, path=self._scope["path"])
            return unforeseen()
        return None

    async def receive(self) -> Message:
        """A part of the body."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            problem = self.too_large(str(self._read))
            if problem is not None:
                raise problem
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer, the first with the headers of every answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given: _Headers = message.get("headers", ())
            names = {name.lower() for name, _ in given}
            added = (header for header in self._add if header[0] not in names)
            message["headers"] = [*given, *added, (b"x-request-id", self.request_id.encode())]
        elif message["type"] == "http.response.body":
            self._sent += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
        await self._send(message)

    def too_large(self, length: str) -> Problem | None:
        """The refusal of a body of so many bytes, or of a length that is not a number."""
        if length.isascii() and length.isdigit() and len(length) < 19 and int(length) <= self._most:
            return None
        return Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"A body of more than {self._most:,} bytes is not read here",
            "Content-Length",
            "Send it in parts, or use the command line",
        )

    def record(self) -> None:
        """The line of the access log. The query is left out: it may hold what is nobody's business."""
        client = self._scope.get("client")
        log.info(
            "request",
            request_id=self.request_id,
            method=self._scope["method"],
            path=self._scope["path"],
            status=self.status,
            whole=self._whole,
            bytes=self._sent,
            milliseconds=round((time.perf_counter() - self._began) * 1000, 1),
            address=client[0] if client else None,
            user=self._scope["state"].get("user"),
            door=self._scope["state"].get("door"),
        )


def unforeseen() -> Problem:
    """The answer to an unexpected exception: nothing of the inside."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "This failed here, and not because of what was asked",
        remedy="Give the id of this answer (instance) to who runs the service: its log says what happened",
    )


def _without_port(host: str) -> str:
    """The name of a ``Host`` header: of ``[::1]:8000`` it is ``[::1]``."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
