"""Databases of an earlier revision."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config

from batchwright.engine.store.database import Database


def migrate(database: Database, revision: str) -> None:
    """Bring the database to a revision."""
    config = Config()
    config.set_main_option("script_location", str(files("batchwright.migrations")))
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
