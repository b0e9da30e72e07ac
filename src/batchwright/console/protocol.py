"""HTTP/1.1 as it comes over a connection, and what is answered where it cannot be read as a request."""

from __future__ import annotations

import asyncio
import re
import secrets
from http import HTTPStatus
from typing import Final

import structlog
from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from batchwright.console.envelope import HEADERS
from batchwright.console.problems import Problem

MOST_HEAD_BYTES: Final = 64 * 1024
"""So long the request line and all fields of a request may be, those after its body included."""
BYTES_AT_ONCE: Final = 16 * 1024
"""So many are given to the parser: what it keeps of them, and does not tell, is not counted."""
SECONDS_TO_READ_A_REFUSAL: Final = 2.0
"""So long what is still sent is thrown away before the connection ends: whoever sends might not read otherwise."""
VERSIONS: Final = ("1.0", "1.1")
OF_A_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ /\S* HTTP/1\.[01]\r\n")

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
    _later = b""
    """What came and is not read yet."""

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._unset_keepalive_if_required()
        self._later = self._later + data if self._later else data
        self._go_on()

    def on_response_complete(self) -> None:
        """An answer was given: go on with what came meanwhile."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._go_on()

    def _go_on(self) -> None:
        """Read what came, but not ahead while a request waits for the one before it: else all would be kept."""
        while self._later and not self._refused and not self.pipeline:
            piece, self._later = self._later[:BYTES_AT_ONCE], self._later[BYTES_AT_ONCE:]
            self._read(piece)
        if self._refused:
            self._later = b""
        elif self._later or self.pipeline:
            self.flow.pause_reading()

    def _read(self, data: bytes) -> None:
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
        super().on_message_complete()

    def _check_head(self, version: str) -> None:
        if version not in VERSIONS:
            raise CannotBeRead(f"version {version}")
        hosts, codings = self._values_of(b"host"), self._values_of(b"transfer-encoding")
        if len(hosts) > 1 or (not hosts and version != "1.0"):  # 3.2
            raise CannotBeRead(f"{len(hosts)} fields Host")
        if not self.url.startswith(
            (b"/", b"*", *(b"http%b://%b/" % (s, hosts[0]) for s in (b"", b"s") if hosts))
        ):
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

    def _cannot_read(self, error: Exception, data: bytes) -> None:
        """Refuse what came, unless something else is or was answered at this place, and hang up."""
        cycle = self.cycle
        self._refused = True
        if self._in_body and self.pipeline:
            self.pipeline.popleft()  # what came before it is answered
            return
        if self._in_body:
            told = not cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()  # whoever reads the body waits for more of it
        elif cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False  # the request before it was good: that is answered, and nothing else
            return
        else:
            told = True
        if told:
            cause = error.__context__ or error  # where the parser called back
            self._refuse(_problem_of(cause, data), why=repr(cause))
        else:
            self.transport.close()

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


def _problem_of(error: BaseException, data: bytes) -> Problem:
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
