"""Who acts: the operating system's user, and the name they claim."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Settings, operating_system_user


@dataclass(frozen=True)
class Actor:
    """`name` is who it is, as claimed (`--actor`, the setting); `os_user` is who it is, as the system says."""

    name: str
    os_user: str


def default_actor(settings: Settings) -> Actor:
    """The actor that the settings name: by default the operating system's user, who is kept either way."""
    return Actor(name=settings.actor, os_user=operating_system_user())
