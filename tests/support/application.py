"""What applications in tests are made with: the settings, the person who acts and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.events import Event
from batchwright.operations.app import Actor, Application, make_application

NOW = datetime(2023, 7, 1, 8, 30, tzinfo=UTC)
ACTOR = Actor(name="dana@example.com", os_user=operating_system_user())


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
