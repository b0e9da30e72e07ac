"""What a command works with: the application that the settings describe, and who acts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from batchwright.cli.verbosity import Verbosity
from batchwright.config.settings import Settings, load_settings
from batchwright.operations.actor import Actor, Door
from batchwright.operations.app import Application, make_application


@contextmanager
def application(door: Door = Door.CLI) -> Iterator[Application]:
    """The application of the settings in force, closed at the end. Raises ``SettingsError``."""
    app = make_application(current_settings(), door=door)
    context = click.get_current_context(silent=True)
    given = None if context is None else context.find_object(Verbosity)
    if given is not None and given.timeout is not None:
        app.database.wait_at_most(given.timeout)
    try:
        yield app
    finally:
        app.close()


def current_settings() -> Settings:
    """The settings of this process and its working directory. Raises ``SettingsError``."""
    return load_settings(os.environ, Path.cwd())


def acting(app: Application, claimed: str | None) -> Actor:
    """Who acts: the operating system's user, under the name given with `--actor`."""
    actor = app.default_actor()
    return replace(actor, name=claimed) if claimed else actor
