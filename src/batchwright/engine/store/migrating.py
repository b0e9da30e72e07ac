"""The revision of a database, and how it is brought to the newest: what Alembic does for us."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def revision(connection: Connection) -> str | None:
    """The migration the database stands at; ``None`` before the first."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def newest_revision() -> str | None:
    """The revision that this program needs."""
    return ScriptDirectory.from_config(_alembic()).get_current_head()


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, in the transaction of the connection."""
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", os.fspath(Path(str(files("batchwright.migrations")))))
    config.set_main_option("path_separator", "os")
    return config
