"""Who acts: the operating system's user, and the name they claim."""

from __future__ import annotations

from dataclasses import dataclass

from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.errors import Refused


@dataclass(frozen=True)
class Actor:
    """`name` is who it is, as claimed (`--actor`, the setting); `os_user` is who it is, as the system says.

    Raises `Refused` for a name that is empty or could forge a line of a log or a mail.
    """

    name: str
    os_user: str

    def __post_init__(self) -> None:
        check_actor(self.name)


def check_actor(name: str, field: str = "actor") -> str:
    """The name of an actor, who is the `field` of something. Raises `Refused` for an empty or an unprintable one."""
    if not name.strip() or not name.isprintable():
        raise Refused(
            f"the {field} {name!r} is empty or holds a line break or another control character",
            field=field,
            remedy="Give a name or a mail address",
        )
    return name


def default_actor(settings: Settings) -> Actor:
    """The actor that the settings name: by default the operating system's user, who is kept either way."""
    return Actor(name=settings.actor, os_user=operating_system_user())
