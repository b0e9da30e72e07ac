"""The options of every command that starts a run, gathered into one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from batchwright.cli.driving import Way, exclusive_way
from batchwright.cli.options import as_json_option
from batchwright.operations.runs.submitting import RunTerms

_OPTIONS = (
    click.option("--sync", is_flag=True, help="Do at most 1,000 records at once and print each outcome."),
    click.option("--batch", is_flag=True, help="Drive the run here, with progress (default)."),
    click.option("--enqueue", is_flag=True, help="Only submit it and print its id; a worker drives it."),
    click.option("--scope-size", type=click.IntRange(min=1), metavar="N", help="Records per scope."),
    click.option(
        "--error-ceiling",
        metavar="N|P%",
        help="Stop the run at more errors than that, or percent of records.",
    ),
    click.option("--actor", metavar="WHO", help="Who asks for it (default: the setting `actor`)."),
    click.option("--reason", metavar="TEXT", help="Why; shown in the log."),
    click.option(
        "--notify", metavar="ADDRESS", multiple=True, help="Mail the result there, too; may be repeated."
    ),
    click.option("--no-mail", is_flag=True, help="No mail to the actor."),
    as_json_option,
)

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Compute only, where the job can; see `runs preview`."
)


@dataclass(frozen=True)
class RunOptions:
    """How a run is to be started, as said on the command line."""

    way: Way
    scope_size: int | None
    error_ceiling: str | None
    actor: str | None
    reason: str | None
    notify: tuple[str, ...]
    no_mail: bool
    as_json: bool

    @property
    def claim(self) -> bool:
        """Whether the run is driven here."""
        return self.way != "enqueue"

    @property
    def terms(self) -> RunTerms:
        """How the run is wanted: only what was said, for the rest is the parent's where there is one."""
        terms: RunTerms = {"sync": self.way == "sync", "mail_actor": not self.no_mail}
        if self.reason is not None:
            terms["reason"] = self.reason
        if self.notify:
            terms["notify"] = self.notify
        if self.scope_size is not None:
            terms["scope_size"] = self.scope_size
        if self.error_ceiling is not None:
            terms["error_ceiling"] = self.error_ceiling
        return terms


def run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of a run; the command gets them as ``options``."""

    @functools.wraps(command)
    def gathered(*args: Any, sync: bool, batch: bool, enqueue: bool, **values: Any) -> int:
        given = {name: values.pop(name) for name in RunOptions.__dataclass_fields__ if name != "way"}
        way = exclusive_way(sync=sync, batch=batch, enqueue=enqueue)
        return command(*args, options=RunOptions(way=way, **given), **values)

    wrapped: Callable[..., int] = gathered
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
