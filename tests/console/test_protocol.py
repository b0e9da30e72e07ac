"""HTTP over a real connection: what cannot be read as a request is refused in the one shape, and once."""

from __future__ import annotations

import email
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import pytest
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from structlog.testing import capture_logs

from batchwright.console.envelope import HEADERS, MOST_BODY_BYTES, Envelope
from batchwright.console.protocol import MOST_HEAD_BYTES
from tests.console.raw import answers, said_until_closed, serving, statuses

GOOD = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc"


async def echo(request: Request) -> Response:
    body = await request.body()
    return JSONResponse({"bytes": len(body), "trailed": request.headers.get("x-trailed")})


async def stream(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"a,b\r\n", b"", b"1,2\r\n"):
            yield part

    return StreamingResponse(parts())


class Held:
    """An endpoint that answers when it is let, without looking at the body, and one that reads it."""

    def __init__(self) -> None:
        self.began, self.go, self.left = (threading.Event() for _ in range(3))

    async def __call__(self, request: Request) -> Response:
        self.began.set()
        await run_in_threadpool(self.go.wait, 30)
        return JSONResponse({"held": True})

    async def waits(self, request: Request) -> Response:
        self.began.set()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.left.set()
        return JSONResponse({})

    async def reads(self, request: Request) -> Response:
        self.began.set()
        try:
            await request.body()
        except ClientDisconnect:
            self.left.set()
            raise
        return JSONResponse({})


@contextmanager
def served(held: Held | None = None) -> Iterator[tuple[str, int]]:
    """The address of a server of the envelope."""
    routes = [Route("/echo", echo, methods=["GET", "POST"]), Route("/stream", stream, methods=["GET"])]
    if held is not None:
        routes += [
            Route("/held", held.__call__, methods=["GET"]),
            Route("/reads", held.reads, methods=["POST"]),
            Route("/waits", held.waits, methods=["GET"]),
        ]
    envelope = Envelope(Router(routes=routes), hosts=["127.0.0.1", "localhost"], https=False)
    with serving(envelope, seconds_to_end=1) as address:
        yield address


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Of a server for all tests that do nothing to it."""
    with served() as address:
        yield address


HEAD = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BAD = {
    "no version": b"GET /echo\r\n\r\n",
    "HTTP/2.0": b"GET /echo HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n",
    "HTTP/1.2": b"GET /echo HTTP/1.2\r\nHost: 127.0.0.1\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"x" * 60,
    "a method that is none": b"\x00 x\r\n\r\n",
    "no host": b"GET /echo HTTP/1.1\r\n\r\n",
    "two hosts": HEAD + b"Host: 127.0.0.1\r\n\r\n",
    "an address of another host": b"GET http://evil.example/echo HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a space in the address": b"GET /echo x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an address beyond ASCII": "GET /echö HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(),
    "an address without a slash": b"GET echo HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a field on two lines": HEAD + b"X-A: a\r\n b\r\n\r\n",
    "NUL in a field": HEAD + b"X-A: a\0b\r\n\r\n",
    "CR in a field": HEAD + b"X-A: a\rb\r\n\r\n",
    "lines that end with LF": b"GET /echo HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a length and chunks": HEAD
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": HEAD + b"Content-Length: 3, 3\r\n\r\nabc",
    "a length with a sign": HEAD + b"Content-Length: +3\r\n\r\nabc",
    "a length of no integer's size": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "a coding below chunks": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunks twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"/1.1", b"/1.0") + b"3\r\nabc\r\n0\r\n\r\n",
    "a chunk's size in no digits": CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer than said": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk whose line ends with LF": CHUNKED + b"3\nabc\n0\n\n",
    "another protocol, with a body": HEAD
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
}


@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in BAD.items()])
def test_what_is_not_surely_a_request_is_refused_like_everything_else(
    address: tuple[str, int], sent: bytes
) -> None:
    said = answers(address, sent)
    head, _, body = said.partition(b"\r\n\r\n")
    fields = email.message_from_bytes(head.partition(b"\r\n")[2])
    assert statuses(said) == [400]
    assert fields["content-type"] == "application/problem+json"
    assert HEADERS.items() <= {(name, fields[name]) for name in HEADERS}
    problem = json.loads(body)
    assert problem["instance"].endswith(fields["x-request-id"])
    assert int(fields["content-length"]) == len(body)


@pytest.mark.parametrize("address_of_ours", [b"HTTP://LocalHost/echo", b"https://localhost/echo?a=1"])
def test_an_address_may_name_this_host_in_any_case(address: tuple[str, int], address_of_ours: bytes) -> None:
    head = b"GET " + address_of_ours + b" HTTP/1.1\r\nHost: LOCALHOST\r\nConnection: close\r\n\r\n"
    assert statuses(answers(address, head)) == [200]


def test_an_answer_of_no_length_ends_with_the_connection_in_http_1_0(address: tuple[str, int]) -> None:
    head = b"GET /stream HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n"
    said, _, body = answers(address, head).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in said
    assert body == b"a,b\r\n1,2\r\n"
    assert b"content-length: 26" in answers(address, head.replace(b"/stream", b"/echo"))


@pytest.mark.parametrize("method", [b"BREW", b"get", b"X-Y"])
def test_a_method_that_nobody_knows_is_said_to_be_that(address: tuple[str, int], method: bytes) -> None:
    said = answers(address, method + b" /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert statuses(said) == [501]
    assert b"This method is not known here" in said
    assert statuses(answers(address, method, b" /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")) == [501]


TOO_LONG = {
    "the address": [b"GET /" + b"x" * MOST_HEAD_BYTES],
    "a field": [HEAD + b"X-A: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\n"],
    "a field without an end": [HEAD + b"X-A: ", *[b"x" * 1_000] * 100],
    "many fields": [HEAD + b"X-A: 1234567890\r\n" * 5_000 + b"\r\n"],
    "many fields after the body": [CHUNKED + b"0\r\n", *[b"X-A: 1234567890\r\n" * 100] * 50],
    "a field after the body without an end": [CHUNKED + b"0\r\nX-A: ", *[b"x" * 1_000] * 100],
    "what stands beside a chunk's size": [CHUNKED + b"3;", *[b"x" * 1_000] * 100],
    "empty lines": [b"\r\n" * 500] * 100,
}


@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in TOO_LONG.items()])
def test_what_stands_around_a_body_is_read_to_a_limit(address: tuple[str, int], sent: list[bytes]) -> None:
    said = answers(address, *sent)
    assert statuses(said) == [431]
    assert b"65,536 bytes" in said


def test_a_head_of_nearly_the_limit_is_taken_in_pieces_of_any_size(address: tuple[str, int]) -> None:
    head = HEAD + b"Connection: close\r\nX-A: " + b"x" * (MOST_HEAD_BYTES - 200) + b"\r\n\r\n"
    assert statuses(answers(address, head)) == [200]
    assert statuses(answers(address, *[head[n : n + 997] for n in range(0, len(head), 997)])) == [200]
    closing = GOOD.replace(b"Host", b"Connection: close\r\nHost")
    assert statuses(answers(address, *[closing[n : n + 1] for n in range(len(closing))])) == [200]


def test_who_sends_all_of_a_request_that_is_too_large_still_gets_the_answer(address: tuple[str, int]) -> None:
    body = HEAD + f"Content-Length: {8 * MOST_BODY_BYTES}\r\n\r\n".encode() + b"x" * 8 * MOST_BODY_BYTES
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(body)
        assert client.recv(1_000).startswith(b"HTTP/1.1 413")
    assert statuses(answers(address, HEAD + b"X-A: x\r\n" * 1_000_000)) == [431]


def test_a_field_that_follows_the_body_does_not_pass_for_one_of_the_head(address: tuple[str, int]) -> None:
    sent = CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + b"3\r\nabc\r\n0\r\nX-Trailed: me\r\n\r\n"
    said = answers(address, sent)
    assert b'{"bytes":3,"trailed":null}' in said


def test_on_one_connection_all_is_answered_up_to_what_is_no_request(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as client:
        for _ in range(2):
            client.sendall(GOOD)
            said = b""
            while not said.endswith(b'{"bytes":3,"trailed":null}'):
                said += client.recv(65_536)
        client.sendall(b"\0")
        assert statuses(said_until_closed(client)) == [400]
    assert statuses(answers(address, GOOD + GOOD + b"\0 x\r\n\r\n")) == [200, 200]


def test_what_follows_a_request_at_work_takes_nothing_from_its_answer() -> None:
    held = Held()
    with served(held) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(b"GET /held HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert held.began.wait(30)
        client.sendall(b"\0 x\r\n\r\n")
        held.go.set()
        said = said_until_closed(client)
    assert statuses(said) == [200, 400]
    assert b'{"held":true}HTTP/1.1 400' in said


def test_a_body_that_breaks_off_in_the_middle_is_refused_and_its_reader_let_go() -> None:
    held = Held()
    with capture_logs() as logged, served(held) as address, socket.create_connection(address) as client:
        client.sendall(CHUNKED.replace(b"/echo", b"/reads") + b"3\r\nabc\r\n")
        assert held.began.wait(30)
        client.sendall(b"no size\r\n")
        assert statuses(said_until_closed(client)) == [400]
        assert held.left.wait(30)
    assert [line["event"] for line in logged] == ["not a request", "request"]  # and no failure of ours
    assert (logged[1]["status"], logged[1]["path"]) == (None, "/reads")


def test_another_protocol_is_not_spoken_and_what_follows_in_it_not_read(address: tuple[str, int]) -> None:
    asked = b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert statuses(answers(address, asked + GOOD)) == [200]


def test_who_sends_requests_and_reads_no_answer_is_not_read_without_end(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as client:
        client.settimeout(2)
        taken = 0
        with suppress(TimeoutError):  # of one send, of which nothing is taken
            while taken < 16_000_000:
                taken += client.send(GOOD * 2_000)
    assert taken < 16_000_000


def test_a_body_that_breaks_off_leaves_the_request_before_it_its_answer(address: tuple[str, int]) -> None:
    assert statuses(answers(address, GOOD + CHUNKED + b"zz\r\n")) == [200]


def test_a_field_behind_a_request_at_work_is_not_read_without_end() -> None:
    held = Held()
    with served(held) as address, socket.create_connection(address) as client:
        client.settimeout(2)
        client.sendall(b"GET /held HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HEAD + b"X-A: ")
        assert held.began.wait(30)
        taken = 0
        with suppress(TimeoutError):
            while taken < 16_000_000:
                taken += client.send(b"x" * 100_000)
        held.go.set()
        assert statuses(said_until_closed(client)) == [200, 431]
    assert taken < 16_000_000


def test_who_hangs_up_is_not_waited_for_whatever_they_asked_besides() -> None:
    held = Held()
    with served(held) as address:
        with socket.create_connection(address) as client:
            client.sendall(b"GET /waits HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + GOOD)
            assert held.began.wait(30)
        assert held.left.wait(30)


@pytest.mark.parametrize("begun", [b"", b"G", b"\r\n", GOOD + b"G", GOOD + b"\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(
    address: tuple[str, int], begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwright.console.protocol.SECONDS_FOR_A_HEAD", 0.2)
    assert set(statuses(answers(address, begun))) <= {200}


def test_an_answer_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchwright.console.protocol.SECONDS_FOR_A_HEAD", 0.1)
    held = Held()
    with served(held) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(b"GET /held HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\nG")
        assert held.began.wait(30)
        assert not held.left.wait(0.5)
        held.go.set()
        assert statuses(said_until_closed(client)) == [200]


def test_a_refused_request_is_not_answered_once_more_for_the_end_of_its_body(
    address: tuple[str, int],
) -> None:
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(CHUNKED.replace(b"POST", b"PUT"))
        said = b""
        while not said.endswith(b"}") and not said.endswith(b"Not Allowed"):
            said += client.recv(65_536)
        for piece in (b"0;" + b"x" * 16_382, *[b"x" * 15_000] * 3, b"x" * 15_000 + b"\r\n\r\n"):
            client.sendall(piece)
        client.sendall(GOOD)
        assert statuses(client.recv(65_536)) == [200]


def test_who_sends_a_body_until_a_stop_is_told_of_that() -> None:
    held = Held()
    with served(held) as address:
        client = socket.create_connection(address, timeout=30)
        client.sendall(CHUNKED.replace(b"/echo", b"/reads") + b"3\r\nabc\r\n")
        assert held.began.wait(30)
    with client:
        said = said_until_closed(client)
    assert statuses(said) == [503]
    assert b"The service is stopping" in said
