"""HTTP/1.1 as it comes over a connection, and what is answered where it cannot be read as a request."""

from __future__ import annotations

import asyncio
import re
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import structlog
from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from batchwright.console.envelope import HEADERS
from batchwright.console.problems import Problem

MOST_HEAD_BYTES: Final = 64 * 1024
"""So long the request line and all fields of a request may be, those after its body included."""
BYTES_AT_ONCE: Final = 16 * 1024
"""So many are given to the parser: what it keeps of them, and does not tell, is not counted."""
SECONDS_FOR_A_HEAD: Final = 30.0
"""So long a head may take from its first byte, or from the beginning of the connection."""
SECONDS_TO_READ_A_REFUSAL: Final = 2.0
"""So long what is still sent is thrown away before the connection ends: whoever sends might not read otherwise."""
VERSIONS: Final = ("1.0", "1.1")
OF_A_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+( [/*]|\Z)")
"""How a piece begins in which a method was read that is not known."""

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

log = structlog.get_logger()


class CannotBeRead(Exception):
    """What came is not a request of HTTP/1.1, or not surely one."""


class HeadTooLong(CannotBeRead):
    """The head of a request exceeds ``MOST_HEAD_BYTES``."""


class UpgradeWithBody(CannotBeRead):
    """A request asks for another protocol, and has a body: the parser leaves bodies after that unread."""


class Protocol(HttpToolsProtocol):
    """Of uvicorn, by httptools. What it takes and RFC 9112 forbids is refused here, in the one shape of errors."""

    _head = 0
    """Bytes of the request line and the fields so far."""
    _silent = 0
    """Bytes since the parser last told of something: what it keeps, as of a field without an end."""
    _in_body = False
    """Whether the body of the newest request is being read."""
    _refused = False
    _at_work: RequestResponseCycle | None = None
    """The oldest request that was not answered, or the last one that was."""
    _later = memoryview(b"")
    """What came and was not read yet."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there."""
        super().connection_made(transport)
        self._expect_a_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more: who waits for it, as the newest request or before it, is let go."""
        if self._at_work is not None and not self._at_work.response_complete:
            self._at_work.disconnected = True
            self._at_work.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._later = memoryview(bytes(self._later) + data) if self._later else memoryview(data)
        self._go_on()

    def on_response_complete(self) -> None:
        """An answer was given: go on with what came meanwhile."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._go_on()

    def _go_on(self) -> None:
        """Read what came, but not ahead of the answer to a whole request: else all that is sent would be kept."""
        while self._later and not self._refused and not self._answers:
            piece, self._later = self._later[:BYTES_AT_ONCE], self._later[BYTES_AT_ONCE:]
            self._read(piece)
        if self._refused:
            self._later = memoryview(b"")
        elif self._later:
            self.flow.pause_reading()

    @property
    def _answers(self) -> bool:
        """Whether a request is at work that has been read to its end."""
        work = self._at_work
        return work is not None and not work.response_complete and not (self._in_body and work is self.cycle)

    def _expect_a_head(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            SECONDS_FOR_A_HEAD, self.timeout_keep_alive_handler
        )

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._at_work = cycle
        super()._start_asgi_task(
            cycle, _until_closed(app, cycle) if cycle.scope["http_version"] == "1.0" else app
        )

    def _read(self, data: memoryview) -> None:
        self._silent += len(data)
        try:
            self.parser.feed_data(data)
            self._bounded(self._silent)
        except HttpParserUpgrade:
            pass  # to another protocol: it is answered in this one, and the connection ends
        except (HttpParserError, CannotBeRead) as error:
            self._cannot_read(error, data)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head = self._silent = 0
        if not self._answers:
            self._expect_a_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field. One that follows the body is left out: it could pass for one that a proxy has set."""
        self._count(len(name) + len(value) + len(": \r\n"))
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole. Raises ``CannotBeRead`` for what the parser takes and RFC 9112 forbids."""
        self._check_head(self.parser.get_http_version())
        self._unset_keepalive_if_required()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False
        self._in_body = True
        self._silent = 0

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._silent = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        self._silent = 0
        super().on_message_complete()

    def _check_head(self, version: str) -> None:
        if version not in VERSIONS:
            raise CannotBeRead(f"version {version}")
        hosts, codings = self._values_of(b"host"), self._values_of(b"transfer-encoding")
        if len(hosts) > 1 or (not hosts and version != "1.0"):  # 3.2
            raise CannotBeRead(f"{len(hosts)} fields Host")
        ours = [b"http://%b/" % host for host in hosts] + [b"https://%b/" % host for host in hosts]
        if self.url != b"*" and not self.url.lower().startswith((b"/", *ours)):
            raise CannotBeRead("an address of another host")  # 3.2.2
        if codings and (codings != [b"chunked"] or version == "1.0"):  # 6.1
            raise CannotBeRead("a transfer coding that is not known")
        if self.parser.should_upgrade() and (
            codings or self._values_of(b"content-length") not in ([], [b"0"])
        ):
            raise UpgradeWithBody

    def _values_of(self, field: bytes) -> list[bytes]:
        return [value.lower() for name, value in self.headers if name == field]

    def _count(self, size: int) -> None:
        self._silent = 0
        self._head += size
        self._bounded(self._head)

    @staticmethod
    def _bounded(size: int) -> None:
        if size > MOST_HEAD_BYTES:
            raise HeadTooLong

    def _cannot_read(self, error: Exception, data: memoryview) -> None:
        """Refuse what came, unless something else is or was answered at this place, and hang up."""
        self._refused = True
        work, broken = self._at_work, self.cycle if self._in_body else None
        if work is not None and not work.response_complete and work is not broken:
            # What came before was good: that is answered, and then the connection ends.
            if broken is not None:
                self.pipeline.popleft()
            last = self.pipeline[0][0] if self.pipeline else work
            last.keep_alive = False
            return
        if broken is not None:
            broken.disconnected = True
            broken.message_event.set()  # whoever reads the body waits for more of it
        if broken is not None and broken.response_started:
            self.transport.close()
        else:
            cause = error.__context__ or error  # where the parser called back
            self._refuse(_problem_of(cause, data), why=repr(cause))

    def _refuse(self, problem: Problem, *, why: str) -> None:
        request_id = secrets.token_hex(8)
        log.info("not a request", request_id=request_id, why=why, address=self.client and self.client[0])
        answer = problem.response(request_id)
        answer.headers.update({**HEADERS, "X-Request-Id": request_id, "Connection": "close"})
        lines = [f"HTTP/1.1 {problem.status.value} {problem.status.phrase}".encode()]
        lines += [
            name + b": " + value for name, value in (*self.server_state.default_headers, *answer.raw_headers)
        ]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.write_eof()
        asyncio.get_running_loop().call_later(SECONDS_TO_READ_A_REFUSAL, self.transport.close)


def _until_closed(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """An application whose answers end, where they have no length, with the connection: HTTP/1.0 has no chunks."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        of_no_length = False

        async def send_plain(message: Any) -> None:
            nonlocal of_no_length
            if message["type"] == "http.response.start":
                of_no_length = b"content-length" not in {name.lower() for name, _ in message["headers"]}
                if of_no_length:
                    cycle.chunked_encoding = False
            elif of_no_length:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_plain)

    return answer


def _problem_of(error: BaseException, data: memoryview) -> Problem:
    if isinstance(error, HeadTooLong):
        return Problem(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The head of a request may have at most {MOST_HEAD_BYTES:,} bytes",
            remedy="Send a shorter address, and fewer or shorter header fields",
        )
    if isinstance(error, UpgradeWithBody):
        return Problem(
            HTTPStatus.BAD_REQUEST,
            "A request with a body cannot ask for another protocol here",
            "Upgrade",
            "Leave this header out",
        )
    if isinstance(error, HttpParserInvalidMethodError) and OF_A_METHOD.match(data):
        return Problem(
            HTTPStatus.NOT_IMPLEMENTED,
            "This method is not known here",
            remedy="Use a method that /api/openapi.json names for this address",
        )
    return Problem(HTTPStatus.BAD_REQUEST, "This cannot be read as an HTTP request", remedy="See RFC 9112")
