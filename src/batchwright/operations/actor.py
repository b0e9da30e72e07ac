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
        if not self.name.strip() or not self.name.isprintable():
            raise Refused(
                f"the actor {self.name!r} is empty or holds a line break or another control character",
                field="actor",
                remedy="Give a name or a mail address",
            )


def default_actor(settings: Settings) -> Actor:
    """The actor that the settings name: by default the operating system's user, who is kept either way."""
    return Actor(name=settings.actor, os_user=operating_system_user())
