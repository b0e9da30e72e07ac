"""`batchwright run NAME` for jobs that are registered from outside: a command made of the job's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from batchwright.cli.groups import Command, Group
from batchwright.cli.parameters import example_of, parameter_rows
from batchwright.cli.run_options import RunOptions, dry_run_option, run_options
from batchwright.cli.session import application
from batchwright.cli.submitting import submit_and_drive
from batchwright.cli.verbosity import Verbosity
from batchwright.config.errors import SettingsError
from batchwright.engine.errors import Refused
from batchwright.operations.runs.jobs import broken_jobs, described_jobs
from batchwright.operations.runs.parameters import read_parameters
from batchwright.operations.views import View

_KEY = "batchwright.registered"


@dataclass(frozen=True)
class Registered:
    """The jobs of the settings and entry points by name, and what is wrong with others."""

    jobs: Mapping[str, View]
    problems: Sequence[str]


class RunGroup(Group):
    """`batchwright run`: the commands written here, then those of other registered jobs.

    Other jobs are imported only for the list of commands and for a name that is not one of ours.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours first, then the others by name; ours alone where the others cannot be listed."""
        try:
            others = self._registered(ctx).jobs
        except (SettingsError, Refused):
            others = {}
        return [*self.commands, *(name for name in others if name not in self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a job, made of its schema where it is not one of ours. Raises ``SettingsError``."""
        if cmd_name in self.commands or cmd_name.startswith("-"):
            return self.commands.get(cmd_name)
        job = self._registered(ctx).jobs.get(cmd_name)
        return None if job is None else job_command(job)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As any group; an unknown name is refused with what was meant, and with the jobs that are not importable."""
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        message = "; ".join([f"No such command {name!r}", *self._registered(ctx).problems])
        raise click.exceptions.NoSuchCommand(
            name, message=f"{message}.", possibilities=self.list_commands(ctx), ctx=ctx
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, and below it what is missing there."""
        super().format_commands(ctx, formatter)
        try:
            problems = self._registered(ctx).problems
        except (SettingsError, Refused) as error:
            problems = [str(error)]
        if problems:
            with formatter.section("Not in the list"):
                for problem in problems:
                    formatter.write_text(problem)

    def _registered(self, ctx: click.Context) -> Registered:
        if _KEY not in ctx.meta:
            with application() as app:
                jobs = {job["name"]: job for job in described_jobs(app)}
                ctx.meta[_KEY] = Registered(jobs, broken_jobs(app))
        found: Registered = ctx.meta[_KEY]
        return found


class JobCommand(Command):
    """The command of a job; its help lists the job's parameters after the options."""

    def __init__(self, *args: Any, job: View, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = parameter_rows(job["parameters"])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options, then parameters."""
        super().format_options(ctx, formatter)
        if self.rows:
            with formatter.section("Parameters, each given as --param NAME=VALUE"):
                formatter.write_dl([(row["name"] or "", _about(row)) for row in self.rows])


def job_command(job: View) -> click.Command:
    """`batchwright run NAME` for a job described by `batchwright.operations.runs.jobs.described_job`."""

    @click.command(job["name"], cls=JobCommand, job=job, help=job["description"], example=example_of(job))
    @click.option(
        "--param",
        "texts",
        metavar="NAME=VALUE",
        multiple=True,
        help="A parameter of the job, listed below; repeated for a list.",
    )
    @dry_run_option
    @run_options
    @click.pass_obj
    def command(verbosity: Verbosity, texts: Sequence[str], dry_run: bool, options: RunOptions) -> int:
        parameters = read_parameters(job["parameters"], texts)
        return submit_and_drive(verbosity, job["name"], parameters, dry_run, options)

    return command


def _about(row: Mapping[str, str | None]) -> str:
    default = row["default"]
    parts = [
        row["type"],
        default if default in (None, "required") else f"default: {default}",
        row["description"],
    ]
    return "; ".join(part for part in parts if part)
