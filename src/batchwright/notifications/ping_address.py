"""Where a ping may lead: who writes a schedule must not reach by it what only this machine reaches (SSRF)."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from batchwright.config.secrets import url_without_password
from batchwright.engine.errors import Refused

LONGEST = 2_000
"""Characters of the longest address."""

PORTS: Final = {"http": 80, "https": 443}
"""Of the ports below 1024 those that a ping may use: the others are of mail, shells, files and the like."""

ALLOW_PRIVATE: Final = (
    "Set ping_private = true (BATCHWRIGHT_PING_PRIVATE) if schedules may ping services of your own network"
)
_GIVE_ADDRESS: Final = "Give an address such as https://hc-ping.com/your-uuid"
_PRIVATE_NAMES: Final = ("local", "internal", "home.arpa")
"""What ends in one of them is in no public DNS (RFC 6762, ICANN's reservation of 2024, RFC 8375)."""
_NAT64: Final = IPv6Network("64:ff9b::/96")


class NotAllowed(Exception):
    """No ping goes there. The text is the rest of a sentence about the address, and does not repeat it."""

    def __init__(self, reason: str, remedy: str = _GIVE_ADDRESS) -> None:
        super().__init__(reason)
        self.remedy = remedy


def check_ping(text: str, *, allows_private: bool) -> str:
    """The address of a ping, if it can be called. Raises `Refused`. A name is not looked up: each ping does that, and
    what it finds today may be another tomorrow. A name that is private by definition is refused as its addresses are.
    """
    try:
        parts = parts_of(text)
        with suppress(OSError, UnicodeError):  # a name
            allowed_addresses(
                *host_and_port(parts), allows_private=allows_private, flags=socket.AI_NUMERICHOST
            )
    except NotAllowed as fault:
        shown = url_without_password(text[:200])
        raise Refused(f"the ping address {shown!r} {fault}", field="ping", remedy=fault.remedy) from None
    return text


def parts_of(text: str) -> SplitResult:
    """The parts of an `http` or `https` address with a host, in printable ASCII. Raises `NotAllowed`."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise NotAllowed(str(error)) from None
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > LONGEST:
        raise NotAllowed(f"holds a character that no address has, or more than {LONGEST:,} of them")
    if parts.scheme not in PORTS or not host:
        raise NotAllowed("is not an address of the web")
    if "@" in parts.netloc:
        raise NotAllowed("has a user name or a password in it, which are not sent")
    if "%" in parts.netloc or "\\" in parts.netloc:
        raise NotAllowed("has a host with a character that no host has")
    return parts


def host_and_port(parts: SplitResult) -> tuple[str, int]:
    """Whom an address of `parts_of` calls."""
    return parts.hostname or "", PORTS[parts.scheme] if parts.port is None else parts.port


def allowed_addresses(
    host: str, port: int, *, allows_private: bool, flags: int = 0
) -> list[tuple[int, int, int, Any]]:
    """Family, kind, protocol and socket address of each address of the host, looked up once.

    Raises `NotAllowed` if a ping may not go to one of them, or to the port, and `OSError` if there is no such host.
    """
    if port < 1024 and port not in PORTS.values():
        raise NotAllowed(f"leads to port {port}", "Give an address on port 80, 443, or one from 1024")
    if not allows_private:
        _check_name(host)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    for *_, address in found:
        _check_address(ip_address(address[0]), allows_private=allows_private)
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


def _check_name(host: str) -> None:
    host = host.lower().removesuffix(".")
    name = f".{host}"
    if name.endswith(".localhost"):
        raise NotAllowed(f"leads to {host}, a name of this machine", ALLOW_PRIVATE)
    if name.endswith(tuple(f".{ending}" for ending in _PRIVATE_NAMES)):
        raise NotAllowed(f"leads to {host}, a name of private networks", ALLOW_PRIVATE)


def _check_address(address: IPv4Address | IPv6Address, *, allows_private: bool) -> None:
    reached = _reached(address)
    if reached.is_loopback or not (reached.is_global or _is_never_called(reached)):
        if not allows_private:
            kind = "an address of this machine" if reached.is_loopback else "a private address"
            raise NotAllowed(f"leads to {reached}, {kind}", ALLOW_PRIVATE)
    elif _is_never_called(reached):
        raise NotAllowed(f"leads to {reached}, which is link-local, multicast, reserved or no host's")


def _is_never_called(address: IPv4Address | IPv6Address) -> bool:
    """Link-local is where clouds hand out the keys of a machine."""
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or (isinstance(address, IPv6Address) and address.is_site_local)
    )


def _reached(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 address (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
