"""What a command works with: the application that the settings describe, and who acts."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import click

from batchwright.cli.options import actor_option, as_json_option, reason_option
from batchwright.cli.output import Format, Row, write_answer
from batchwright.cli.verbosity import Verbosity
from batchwright.config.settings import Settings, load_settings
from batchwright.operations.actor import Actor, Door
from batchwright.operations.app import Application, make_application


@contextmanager
def application(door: Door = Door.CLI, served_at: str | None = None) -> Iterator[Application]:
    """The application of the settings in force, closed at the end; `served_at` as in `Settings`. Raises
    ``SettingsError``.
    """
    settings = current_settings()
    app = make_application(settings.served_at(served_at) if served_at else settings, door=door)
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


class By(TypedDict):
    """Who acts and why, as every operation takes it."""

    actor: Actor
    reason: str | None


@dataclass(frozen=True)
class Act:
    """The options of an act: under which name, why, and how it is answered."""

    actor: str | None
    reason: str | None
    as_json: bool

    @property
    def format(self) -> Format:
        """How a listing is written."""
        return "json" if self.as_json else "table"

    def by(self, app: Application) -> By:
        """Who acts and why."""
        return {"actor": acting(app, self.actor), "reason": self.reason}

    def answer(self, value: Row, said: str) -> None:
        """Write what was done as JSON, or say it in words."""
        write_answer(value, said, as_json=self.as_json)


def act_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--actor`, `--reason` and `--json`: the command gets them as ``act``."""

    @functools.wraps(command)
    def gathered(*args: Any, actor: str | None, reason: str | None, as_json: bool, **values: Any) -> Any:
        return command(*args, act=Act(actor, reason, as_json), **values)

    return actor_option(reason_option(as_json_option(gathered)))
