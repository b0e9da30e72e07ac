"""A ping has a limit for the whole call, however its server goes about answering."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from batchwright.notifications.ping import PingFailed, ping

SECONDS = 0.3


@contextmanager
def served(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A server on loopback that answers one connection in that way; its port. Over, the connection has ended."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                answer(connection, over)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            thread.join()


def until_closed(connection: socket.socket, pieces: Callable[[int], bytes], over: threading.Event) -> None:
    """Send a piece at a time until the other side has ended the connection."""
    number = 0
    try:
        while not over.wait(0.02):
            connection.sendall(pieces(number))
            number += 1
    except OSError:
        return


def drip_head(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    until_closed(connection, lambda _: b"x", over)


def drip_status(connection: socket.socket, over: threading.Event) -> None:
    until_closed(connection, lambda number: b"HTTP/1.1"[number % 8 : number % 8 + 1], over)


def continue_for_ever(connection: socket.socket, over: threading.Event) -> None:
    until_closed(connection, lambda _: b"HTTP/1.1 100 Continue\r\n\r\n", over)


def say_nothing(_: socket.socket, over: threading.Event) -> None:
    over.wait(10)


def pings() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ping"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", [drip_head, drip_status, continue_for_ever, say_nothing])
def test_a_server_that_drips_is_left_and_its_thread_ends(
    answer: Callable[[socket.socket, threading.Event], None], scheme: str
) -> None:
    began = time.monotonic()
    with served(answer) as port:
        with pytest.raises(PingFailed):
            ping(f"{scheme}://127.0.0.1:{port}/", SECONDS, allows_private=True)
        for thread in pings():
            thread.join(5)
        assert pings() == []
    assert time.monotonic() - began < 5


def test_a_name_that_is_looked_up_for_ever_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        over.wait(10)
        raise socket.gaierror("not found")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(PingFailed, match=r"not whole after 0\.3 seconds"):
        ping("http://slow.example/", SECONDS, allows_private=False)
    over.set()
    for thread in pings():
        thread.join(5)


def test_an_answer_in_time_is_one() -> None:
    with served(
        lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    ) as port:
        ping(f"http://127.0.0.1:{port}/", allows_private=True)
    with (
        served(
            lambda connection, _: connection.sendall(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n")
        ) as port,
        pytest.raises(PingFailed, match=r"^it answers 503$"),
    ):
        ping(f"http://127.0.0.1:{port}/", allows_private=True)


def test_tls_asks_for_the_name_though_the_call_goes_to_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    hello = []
    with served(lambda connection, _: hello.append(connection.recv(4096))) as port:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with pytest.raises(PingFailed, match="no answer"):
            ping(f"https://named.example:{port}/", allows_private=True)
    assert b"named.example" in hello[0]


def test_what_the_other_side_wrote_is_not_told() -> None:
    for answer in (b"SSH-2.0-hush\r\n", b"HTTP/1.1 500 hush\r\n\r\nhush", b"HTTP/1.1 hush" + b"h" * 70_000):
        with served(lambda connection, _, answer=answer: connection.sendall(answer)) as port:  # type: ignore[misc]
            with pytest.raises(PingFailed) as failure:
                ping(f"http://127.0.0.1:{port}/", allows_private=True)
            assert "hush" not in str(failure.value)
