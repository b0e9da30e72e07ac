"""Who acts: the operating system's user under the name they claim, or whom a web door authenticated."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from batchwright.engine.errors import Refused


class Door(StrEnum):
    """Which way an act comes in."""

    CLI = "cli"
    PYTHON = "python"
    API = "api"
    CONSOLE = "console"
    SCHEDULE = "schedule"
    WORKER = "worker"

    @property
    def is_web(self) -> bool:
        """Whether who comes in is somebody else than the operating system's user, and has to be authenticated."""
        return self in (Door.API, Door.CONSOLE)


class Unauthenticated(Refused):
    """Nobody is known to act (HTTP: 401)."""


@dataclass(frozen=True)
class Principal:
    """Whom a web door authenticated: the keys of the user and of their token or session, and the address that they
    called from.

    It is not a right yet: `permit` looks up both rows again at each act.
    """

    user_key: int
    token_key: int | None
    address: str
    session_key: int | None = None

    def __post_init__(self) -> None:
        if (self.token_key is None) is (self.session_key is None):
            raise ValueError("a principal has either a token or a session")

    @property
    def credential(self) -> str:
        """By what they were authenticated, as the audit trail says it: "token 17", "session 4"."""
        return f"session {self.session_key}" if self.token_key is None else f"token {self.token_key}"


@dataclass(frozen=True)
class Actor:
    """`name` is who it is, as claimed (`--actor`, the setting); `os_user` is who it is, as the system says.

    Behind a web door the name is the mail address of the principal's user, and `os_user` only whose process serves it.
    Raises `Refused` for a name that is empty or could forge a line of a log or a mail.
    """

    name: str
    os_user: str
    door: Door = Door.PYTHON
    principal: Principal | None = None

    def __post_init__(self) -> None:
        check_actor(self.name)
        if self.door.is_web is (self.principal is None):
            raise ValueError(f"an actor at the door {self.door} with the principal {self.principal}")


def check_actor(name: str, field: str = "actor") -> str:
    """The name of an actor, who is the `field` of something. Raises `Refused` for an empty or an unprintable one."""
    if not name.strip() or not name.isprintable():
        raise Refused(
            f"the {field} {name!r} is empty or holds a line break or another control character",
            field=field,
            remedy="Give a name or a mail address",
        )
    return name


def network_of(address: str) -> str:
    """The address, or of one of IPv6 the network that one subscriber has whole."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))
