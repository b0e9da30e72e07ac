"""Calling a dead man's switch, such as Healthchecks: one HTTP GET, of which only the status counts.

Nothing that the other side wrote is told: who made the schedule chose who answers.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from batchwright.config.texts import clean_line
from batchwright.notifications.ping_address import (
    ALLOW_PRIVATE,
    NotAllowed,
    allowed_addresses,
    host_and_port,
    parts_of,
)

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import BaseHandler, Request

SECONDS = 10.0
"""How long a whole call may take, from looking up the name of the host to the head of the answer."""
LONGEST_REASON = 500
REDIRECTS = (301, 302, 303, 307, 308)


class PingFailed(Exception):
    """The address did not answer, or did not answer that all is well (2xx)."""

    def __init__(self, reason: str) -> None:
        super().__init__(clean_line(reason)[:LONGEST_REASON])


def ping(url: str, seconds: float = SECONDS, *, allows_private: bool) -> None:
    """Call the address. Raises `PingFailed` with what came instead of an answer from 200 to 299 in that time.

    What its host is called is looked up once, and checked; the call goes to what was checked, so that a second answer
    of a name server decides nothing. A redirect is not followed. ``allows_private``: also in the own network.

    It is called in a thread of its own: the limits of a socket are for each piece that comes, and one that drips
    comes for ever; nothing ends the looking up of a name.
    """
    call = _Call(url, seconds, allows_private)
    call.start()
    call.join(seconds)
    if call.is_alive():
        call.give_up()
        raise PingFailed(f"no answer: it was not whole after {seconds:g} seconds")
    if call.failure is not None:
        raise call.failure


def fault_of(url: str, *, allows_private: bool) -> NotAllowed | None:
    """Why a ping of that address would not be sent, today; ``None`` also for a host that cannot be looked up."""
    from urllib.request import Request

    try:
        parts = parts_of(url)
        if not allows_private:
            _require_no_proxy(Request(url))
        with suppress(OSError, UnicodeError):
            allowed_addresses(*host_and_port(parts), allows_private=allows_private)
    except NotAllowed as fault:
        return fault
    return None


class _Call(threading.Thread):
    """One call, and the connections that it has opened, so that they can be ended from outside."""

    def __init__(self, url: str, seconds: float, allows_private: bool) -> None:
        super().__init__(name="ping", daemon=True)
        self._url = url
        self._seconds = seconds
        self._allows_private = allows_private
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
        except NotAllowed as fault:
            self.failure = PingFailed(f"not called: it {fault}. {fault.remedy}")
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

        parts_of(self._url)
        request = urllib.request.Request(self._url, headers={"User-Agent": "batchwright"})
        if not self._allows_private:
            _require_no_proxy(request)
        try:
            with urllib.request.build_opener(*self._handlers()).open(
                request, timeout=self._seconds
            ) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            error.close()
            redirects = ", a redirect: give the address that it leads to" if error.code in REDIRECTS else ""
            raise PingFailed(f"it answers {error.code}{redirects}") from error
        except HTTPException as error:
            raise PingFailed("no answer: what came is not HTTP") from error
        except (OSError, ValueError) as error:
            raise PingFailed(f"no answer: {getattr(error, 'reason', error)}") from error

    def _connect(self, address: tuple[str, int], timeout: float, *_: object) -> socket.socket:
        """A connection to the first of the checked addresses that takes one."""
        failure = OSError("its host has no address")
        for family, kind, protocol, at in allowed_addresses(*address, allows_private=self._allows_private):
            if self._given_up:
                break
            opened = socket.socket(family, kind, protocol)
            opened.settimeout(timeout)
            try:
                opened.connect(at)
            except OSError as error:
                opened.close()
                failure = error
            else:
                return opened
        raise failure

    def _note(self, opened: socket.socket) -> None:
        with self._lock:
            # Another descriptor of it: TLS takes the first one over.
            self._opened.append(socket.socket(fileno=os.dup(opened.fileno())))
            if self._given_up:
                _end(opened)

    def _handlers(self) -> list[BaseHandler]:
        """Handlers whose connections go to checked addresses, and are noted once open: TLS may drip as well."""
        from http.client import HTTPConnection, HTTPSConnection
        from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler

        note, connect = self._note, self._connect

        class Noted(HTTPConnection):
            def connect(self) -> None:
                # The host stays a name for the header Host and for TLS; there is no public way to do this.
                self._create_connection = connect
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

        class NoRedirect(HTTPRedirectHandler):
            def redirect_request(self, *_: object) -> None:
                return None

        return [Http(), Https(), NoRedirect()]


def _require_no_proxy(request: Request) -> None:
    """A proxy looks names up by itself, so what it calls cannot be checked here."""
    from urllib.request import getproxies, proxy_bypass

    if request.type in getproxies() and not proxy_bypass(request.host):
        raise NotAllowed(
            "leads through the proxy of the environment, which may call any address", ALLOW_PRIVATE
        )


def _end(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
