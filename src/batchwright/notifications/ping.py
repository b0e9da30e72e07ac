"""Calling a dead man's switch, such as Healthchecks: one HTTP GET, of which only the status counts."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchwright.config.secrets import url_without_password
from batchwright.config.texts import clean_line
from batchwright.engine.errors import Refused

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import BaseHandler, Request

SECONDS = 10.0
"""How long a whole call may take, from looking up the name of the host to the head of the answer."""
LONGEST = 2_000
"""Characters of the longest address."""


class PingFailed(Exception):
    """The address did not answer, or did not answer that all is well (2xx)."""

    def __init__(self, reason: str) -> None:
        super().__init__(clean_line(reason))


def check_ping(text: str) -> str:
    """The address of a ping, if it can be called: `http` or `https`, a host, printable ASCII. Raises `Refused`."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _refused(text, str(error)) from None
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > LONGEST:
        raise _refused(text, f"holds a character that no address has, or more than {LONGEST:,} of them")
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(text, "is no address of the web")
    if "@" in parts.netloc:
        raise _refused(text, "has a user name or a password in it, which are not sent")
    return text


def ping(url: str, seconds: float = SECONDS) -> None:
    """Call the address. Raises `PingFailed` with what came instead of an answer from 200 to 299 in that time.

    It is called in a thread of its own: the limits of a socket are for each piece that comes, and one that drips
    comes for ever; nothing ends the looking up of a name.
    """
    call = _Call(check_ping(url), seconds)
    call.start()
    call.join(seconds)
    if call.is_alive():
        call.give_up()
        raise PingFailed(f"no answer: it was not whole after {seconds:g} seconds")
    if call.failure is not None:
        raise call.failure


class _Call(threading.Thread):
    """One call, and the connections that it has opened, so that they can be ended from outside."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(name="ping", daemon=True)
        self._url = url
        self._seconds = seconds
        self._opened: list[socket.socket] = []
        self._given_up = False
        self._lock = threading.Lock()
        self.failure: PingFailed | None = None

    def give_up(self) -> None:
        """End the connections, now and of any that is opened later: the thread ends with them."""
        with self._lock:
            self._given_up = True
            for opened in self._opened:
                _end(opened)

    def run(self) -> None:
        """Call, and keep the failure."""
        try:
            self._call()
        except PingFailed as failure:
            self.failure = failure
        except Exception as error:
            self.failure = PingFailed(f"no answer: {error}")
        finally:
            with self._lock:
                for opened in self._opened:
                    opened.close()
                self._opened.clear()

    def _call(self) -> None:
        # Not at the top: whoever only checks an address does without what calls it.
        import urllib.error
        import urllib.request
        from http.client import HTTPException

        request = urllib.request.Request(self._url, headers={"User-Agent": "batchwright"})
        try:
            with urllib.request.build_opener(*self._handlers()).open(
                request, timeout=self._seconds
            ) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            error.close()
            raise PingFailed(f"it answers {error.code} {error.reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise PingFailed(f"no answer: {getattr(error, 'reason', error)}") from error

    def _note(self, opened: socket.socket) -> None:
        with self._lock:
            # Another descriptor of it: TLS takes the first one over.
            self._opened.append(socket.socket(fileno=os.dup(opened.fileno())))
            if self._given_up:
                _end(opened)

    def _handlers(self) -> list[BaseHandler]:
        """Handlers whose connections are noted once they are open, before TLS, which may drip as well."""
        from http.client import HTTPConnection, HTTPSConnection
        from urllib.request import HTTPHandler, HTTPSHandler

        note = self._note

        class Noted(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                note(self.sock)

        class NotedWithTls(HTTPSConnection, Noted):
            """Its `connect` calls that of `Noted`, then shakes hands."""

        class Http(HTTPHandler):
            def http_open(self, req: Request) -> HTTPResponse:
                return self.do_open(Noted, req)

        class Https(HTTPSHandler):
            def https_open(self, req: Request) -> HTTPResponse:
                return self.do_open(NotedWithTls, req)

        return [Http(), Https()]


def _end(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)


def _refused(text: str, reason: str) -> Refused:
    remedy = "Give an address such as https://hc-ping.com/your-uuid"
    return Refused(
        f"the ping address {url_without_password(text[:200])!r} {reason}", field="ping", remedy=remedy
    )
