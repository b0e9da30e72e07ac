"""What applications in tests are made with: the settings, the person who acts and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.events import Event
from batchwright.operations.access.authentication import authenticate_token
from batchwright.operations.access.tokens import make_token
from batchwright.operations.actor import Door
from batchwright.operations.app import Actor, Application, make_application
from batchwright.operations.tables import app_user

NOW = datetime(2023, 7, 1, 8, 30, tzinfo=UTC)
ACTOR = Actor(name="dana@example.com", os_user=operating_system_user())

ADDRESS = "203.0.113.7"
"""Where callers of a web door call from."""


def web_actor(
    app: Application, email: str, *, door: Door = Door.API, role: str | None = None, by: Actor = ACTOR
) -> Actor:
    """That user at a web door, by a new token of theirs, which the administrator `by` makes."""
    text = make_token(app, email, role=role, actor=by).text
    return replace(authenticate_token(app, text, ADDRESS), door=door)


def remove_user(app: Application, email: str) -> None:
    """Take away the row of a user, as no operation does."""
    with app.database.write() as connection:
        connection.execute(delete(app_user).where(app_user.c.email == email))


def make_settings(url: str, folder: Path, **values: Any) -> Settings:
    return Settings.model_validate(
        {
            "database_url": url,
            "executor": "inline",
            "actor": "dana@example.com",
            "mail": {"directory": folder / "mail"},
        }
        | values
    )


@contextmanager
def rival(app: Application, folder: Path, listen: Callable[[Event], None]) -> Iterator[Application]:
    """Another application on the same database, with connections of its own and a clock that runs."""
    url = app.database.url.render_as_string(hide_password=False)
    other = make_application(make_settings(url, folder))
    other.events.subscribe(listen)
    yield other
    other.close()
