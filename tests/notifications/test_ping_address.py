"""A ping goes to the address that was checked, and to none that only this machine or its network reaches."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.notifications.ping import PingFailed, fault_of, ping
from batchwright.notifications.ping_address import NotAllowed, allowed_addresses, check_ping
from tests.support.web import WebServer

PUBLIC = ("93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822")
PRIVATE = (
    "127.0.0.1",
    "127.8.9.10",
    "10.0.0.5",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.1.2.3",
    "::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.5",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
)
NEVER = (
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "fe80::1",
    "fec0::1",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "240.0.0.1",
    "255.255.255.255",
    "::7f00:1",
)


class Names:
    """A name server of a test: gives each look-up of a name the next addresses, at last always the same."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *, flags: int = 0, **_: object) -> list[Any]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror("a name")
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in found
        ]


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A real server, on loopback."""
    server = WebServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


def host_of(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_taken(address: str) -> None:
    url = f"https://{host_of(address)}/uuid"
    assert check_ping(url, allows_private=False) == url


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_with_the_setting_that_allows_it(address: str) -> None:
    url = f"http://{host_of(address)}:8000/"
    with pytest.raises(Refused) as refusal:
        check_ping(url, allows_private=False)
    assert refusal.value.field == "ping"
    assert "BATCHWRIGHT_PING_PRIVATE" in (refusal.value.remedy or "")
    assert check_ping(url, allows_private=True) == url


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("localhost", "this machine"),
        ("LocalHost.", "this machine"),
        ("app.localhost", "this machine"),
        ("local", "private networks"),
        ("printer.local", "private networks"),
        ("metadata.google.internal", "private networks"),
        ("nas.home.arpa.", "private networks"),
    ],
)
def test_a_name_that_is_private_by_definition_is_refused_alike_when_saved_checked_and_called(
    host: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(("93.184.216.34",))
    monkeypatch.setattr(socket, "getaddrinfo", names)
    url = f"http://{host}/"
    with pytest.raises(
        Refused, match=f"leads to {host.lower().removesuffix('.')}, a name of {kind}"
    ) as refusal:
        check_ping(url, allows_private=False)
    fault = fault_of(url, allows_private=False)
    assert fault is not None
    assert refusal.value.remedy == fault.remedy
    with pytest.raises(PingFailed, match=f"not called: it {fault}"):
        ping(url, allows_private=False)
    assert names.asked == []
    assert check_ping(url, allows_private=True) == url
    assert fault_of(url, allows_private=True) is None


@pytest.mark.parametrize("host", ["localhost.example.com", "notlocal", "my-internal", "internal.example"])
def test_a_name_that_only_looks_private_is_taken(host: str) -> None:
    assert check_ping(f"http://{host}/", allows_private=False)


@pytest.mark.parametrize("allows_private", [False, True])
@pytest.mark.parametrize("address", NEVER)
def test_what_is_no_address_of_a_service_is_refused_always(address: str, allows_private: bool) -> None:
    with pytest.raises(Refused, match="link-local, multicast, reserved"):
        check_ping(f"http://{host_of(address)}/", allows_private=allows_private)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_other_spellings_of_an_address_are_that_address(host: str) -> None:
    with pytest.raises(Refused, match=r"leads to 127\.0\.0\.1"):
        check_ping(f"http://{host}/", allows_private=False)


@pytest.mark.parametrize(
    "host", ["%31%32%37.0.0.1", "example.com%3A22", r"example.com\.evil", "a@b", "[::1%25lo]"]
)
def test_a_host_that_two_readers_would_read_differently_is_refused(host: str) -> None:
    with pytest.raises(Refused):
        check_ping(f"http://{host}/", allows_private=True)


@pytest.mark.parametrize(
    ("port", "is_taken"), [(80, True), (443, True), (1024, True), (22, False), (1023, False), (0, False)]
)
def test_of_the_ports_below_1024_only_those_of_the_web_are_called(port: int, is_taken: bool) -> None:
    url = f"http://example.com:{port}/"
    if is_taken:
        assert check_ping(url, allows_private=True) == url
        return
    with pytest.raises(Refused, match=f"leads to port {port}"):
        check_ping(url, allows_private=True)
    with pytest.raises(PingFailed, match=f"not called: it leads to port {port}"):
        ping(url, allows_private=True)


@pytest.mark.parametrize("found", [("93.184.216.34", "127.0.0.1"), ("93.184.216.34", "::ffff:10.0.0.1")])
def test_a_name_one_of_whose_addresses_is_private_is_not_called(
    found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(found))
    assert check_ping("http://two.example/", allows_private=False)
    with pytest.raises(PingFailed, match=r"leads to .*BATCHWRIGHT_PING_PRIVATE"):
        ping("http://two.example/", allows_private=False)


def test_a_name_is_looked_up_once_and_the_call_goes_to_what_was_checked(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(("127.0.0.1",), ("169.254.169.254",))
    monkeypatch.setattr(socket, "getaddrinfo", names)
    ping(web.url.replace("127.0.0.1", "rebound.example"), allows_private=True)
    assert names.asked == ["rebound.example"]
    assert web.calls == ["GET /ping/123"]
    assert web.hosts == [web.url.replace("127.0.0.1", "rebound.example").split("/")[2]]
    with pytest.raises(PingFailed, match=r"leads to 169\.254\.169\.254"):
        ping(web.url.replace("127.0.0.1", "rebound.example"), allows_private=True)
    assert len(web.calls) == 1


def test_the_next_address_is_called_where_one_does_not_answer(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(("127.0.0.2", "127.0.0.1")))
    ping(web.url.replace("127.0.0.1", "two.example"), allows_private=True)
    assert len(web.calls) == 1


def test_a_redirect_is_not_followed(web: WebServer) -> None:
    web.statuses, web.location = [302], web.url
    with pytest.raises(
        PingFailed, match="it answers 302, a redirect: give the address that it leads to"
    ) as failure:
        ping(web.url, allows_private=True)
    assert web.url not in str(failure.value)
    assert len(web.calls) == 1


def test_a_proxy_of_the_environment_calls_nothing_that_was_not_checked(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    url = "http://93.184.216.34/"
    with pytest.raises(PingFailed, match=r"through the proxy .*BATCHWRIGHT_PING_PRIVATE"):
        ping(url, allows_private=False)
    assert web.calls == []
    ping(url, allows_private=True)
    assert web.calls == [f"GET {url}"]


def test_what_would_not_be_sent_is_known_beforehand_but_for_names_that_are_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(("10.0.0.5",)))
    assert (
        str(fault_of("https://hc.example/x", allows_private=False)) == "leads to 10.0.0.5, a private address"
    )
    assert fault_of("https://hc.example/x", allows_private=True) is None

    def unknown(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror("not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert fault_of("https://hc.example/x", allows_private=False) is None
    assert isinstance(fault_of("https://hc.example:25/x", allows_private=False), NotAllowed)
    with pytest.raises(OSError, match="not known"):
        allowed_addresses("hc.example", 443, allows_private=False)
