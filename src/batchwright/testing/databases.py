"""Throw-away databases at the newest revision, whose state can be kept and brought back."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, create_engine, make_url, text

from batchwright.engine.store.database import upgrade

_FILE = "batchwright.db"
_numbers = itertools.count(1)


class ThrowAway(Protocol):
    """One database for one test. No connection to it may be open when its state is kept or brought back."""

    url: str

    def keep(self) -> None:
        """Keep the state as it is now."""

    def bring_back(self) -> None:
        """Bring back the state that was kept, whatever has happened since."""

    def drop(self) -> None:
        """Take it away."""


class Databases(Protocol):
    """Makes throw-away databases; the migrations run once for all of them."""

    def make(self, folder: Path) -> ThrowAway:
        """One more. ``folder`` is empty, and its own."""

    def close(self) -> None:
        """Take away what was made for all."""


class SqliteDatabases:
    """Databases in files. ``folder`` is for the migrated one they are copied from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "migrated"

    def make(self, folder: Path) -> SqliteThrowAway:
        if not self._folder.exists():
            upgrade(f"sqlite:///{self._folder / _FILE}")
        return SqliteThrowAway(folder / "database", self._folder)

    def close(self) -> None:
        """Nothing is left open."""


class SqliteThrowAway:
    """A folder with the database and the files beside it."""

    def __init__(self, folder: Path, migrated: Path) -> None:
        self._folder = folder
        self._kept = migrated
        self.url = f"sqlite:///{folder / _FILE}"
        self.bring_back()

    def keep(self) -> None:
        kept = self._folder.with_name("kept")
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self._folder, kept)
        self._kept = kept

    def bring_back(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._kept, self._folder)

    def drop(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class PostgresDatabases:
    """Databases on a server. ``url`` names one of its databases and a user who may create others."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._migrated: str | None = None

    def make(self, folder: Path) -> PostgresThrowAway:
        if self._migrated is None:
            self._migrated = self.create(None)
            upgrade(self.url(self._migrated))
        return PostgresThrowAway(self, self._migrated)

    def create(self, template: str | None, name: str | None = None) -> str:
        """A new database, a copy of ``template``; its name."""
        made = name or f"batchwright_test_{os.getpid()}_{next(_numbers)}"
        source = f'TEMPLATE "{template}"' if template else "TEMPLATE template0 ENCODING 'UTF8'"
        with self._administrator() as connection:
            connection.execute(text(f'CREATE DATABASE "{made}" {source}'))
        return made

    def drop(self, name: str) -> None:
        """Drop a database with the sessions on it."""
        with self._administrator() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def url(self, name: str) -> str:
        """The URL of one of the server's databases."""
        return self._url.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        if self._migrated is not None:
            self.drop(self._migrated)

    @contextmanager
    def _administrator(self) -> Iterator[Connection]:
        engine = create_engine(self._url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


class PostgresThrowAway:
    """A database and, once its state was kept, a second one that holds it."""

    def __init__(self, databases: PostgresDatabases, migrated: str) -> None:
        self._databases = databases
        self._name = databases.create(migrated)
        self._kept: str | None = None
        self.url = databases.url(self._name)

    def keep(self) -> None:
        if self._kept is not None:
            self._databases.drop(self._kept)
        self._kept = self._databases.create(self._name)

    def bring_back(self) -> None:
        self._databases.drop(self._name)
        self._databases.create(self._kept, self._name)

    def drop(self) -> None:
        for name in (self._name, self._kept):
            if name is not None:
                self._databases.drop(name)
