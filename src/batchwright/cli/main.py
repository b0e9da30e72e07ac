"""The entry point: the list of commands, and what every way to end looks like from outside.

Only click is imported here, so that `batchwright --help` starts fast; what does the work is loaded by the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import click

from batchwright.cli.exits import DONE, FAILED, INTERRUPTED, REFUSED
from batchwright.cli.groups import LazyGroup, timeout_option
from batchwright.cli.interrupt import StoppedAtOnce
from batchwright.cli.output import AnswerCutOff, drop_further_output, say, write_json
from batchwright.cli.verbosity import Verbosity
from batchwright.config.stderr import make_stderr_unfailing

COMMANDS = {
    "demo": ("batchwright.cli.commands.demo:demo", "Load the sample company, rate it, show what came of it."),
    "import": ("batchwright.cli.commands.imports:import_", "Load CSV files into the database."),
    "run": ("batchwright.cli.commands.run:run", "Run a batch job."),
    "runs": ("batchwright.cli.commands.runs:runs", "The run queue and log: look, steer, retry."),
    "usage-inputs": (
        "batchwright.cli.commands.usage_inputs:usage_inputs",
        "Usage inputs: list, add, edit, delete, reset.",
    ),
    "usage-schedules": ("batchwright.cli.commands.usage_schedules:usage_schedules", "Usage schedules."),
    "billing-schedules": (
        "batchwright.cli.commands.billing_schedules:billing_schedules",
        "Billing schedules and their status.",
    ),
    "customers": ("batchwright.cli.commands.loaded:customers", "Customers."),
    "accounts": ("batchwright.cli.commands.loaded:accounts", "Linked management accounts."),
    "price-books": ("batchwright.cli.commands.loaded:price_books", "Price books."),
    "prices": ("batchwright.cli.commands.loaded:prices", "Prices, their tiers and revisions."),
    "contracts": ("batchwright.cli.commands.loaded:contracts", "Contracts and their revisions."),
    "custom-line-items": ("batchwright.cli.commands.loaded:custom_line_items", "Custom line items."),
    "asset-line-items": ("batchwright.cli.commands.asset_line_items:asset_line_items", "Asset line items."),
    "forecast": ("batchwright.cli.commands.forecast:forecast", "Draft amounts beside rated ones."),
    "recalculation": (
        "batchwright.cli.commands.recalculation:recalculation",
        "Data recalculation: what is offered, and the account charges it left.",
    ),
    "schedules": (
        "batchwright.cli.commands.schedules:schedules",
        "Schedules: make, change, hold, look at their times.",
    ),
    "cron": ("batchwright.cli.commands.cron:cron", "Cron expressions: what they mean, when they fire."),
    "jobs": ("batchwright.cli.commands.jobs:jobs", "The jobs there are and their parameters."),
    "mail": ("batchwright.cli.commands.mail:mail", "Mail: look, retry, preview."),
    "users": ("batchwright.cli.commands.users:users", "Users, their roles, and the mail they want."),
    "audit": (
        "batchwright.cli.commands.audit:audit",
        "Who did what, and when; and whether anybody changed that afterwards.",
    ),
    "serve": (
        "batchwright.cli.commands.serve:serve",
        "Answer HTTP requests until SIGTERM or Ctrl-C, and have a worker beside it.",
    ),
    "worker": (
        "batchwright.cli.commands.worker:worker",
        "Drive runs and send mail, until SIGTERM or Ctrl-C.",
    ),
    "workers": (
        "batchwright.cli.commands.workers:workers",
        "The workers there are, and which jobs they have.",
    ),
    "db": ("batchwright.cli.commands.db:db", "Make, upgrade, check and back up the database."),
    "config": ("batchwright.cli.commands.config:config", "The settings in force."),
    "doctor": (
        "batchwright.cli.commands.doctor:doctor",
        "Check settings, database, workers, schedules and mail; exit code 1 and every problem, if there is one.",
    ),
}


@dataclass(frozen=True)
class Failure:
    """An end that is not success: the exit code and what to say about it."""

    exit_code: int
    message: str
    field: str | None = None
    remedy: str | None = None


class Program(LazyGroup):
    """The root command. Whatever ends a command becomes an exit code of `cli.exits` here, and nowhere else."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named. A reader who has seen enough (`| head`) ends it quietly."""
        code = DONE
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            drop_further_output()
        return code

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any
    ) -> Any:
        """Run one command line and exit with its code; a command returns its code, ``None`` is 0."""
        arguments = list(sys.argv[1:] if args is None else args)
        verbosity = Verbosity()
        try:
            _let_any_text_through()
            _refuse_what_is_no_text(arguments)
            code = super().main(
                arguments, prog_name or "batchwright", standalone_mode=False, obj=verbosity, **extra
            )
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(REFUSED)
        except Exception as error:
            failure = failure_of(error)
            if failure.exit_code == FAILED and verbosity.level > 0:
                from batchwright.config.tracebacks import traceback_text

                say(traceback_text(error), err=True)
            _say(failure, as_json=wants_json(arguments) and not isinstance(error, AnswerCutOff))
            sys.exit(failure.exit_code)
        sys.exit(code or DONE)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON, by its words alone: it may be one that cannot be parsed."""
    words = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    return "--json" in words or "--format=json" in words or ("--format", "json") in pairwise(words)


def failure_of(error: BaseException) -> Failure:
    """What an exception means to the person at the terminal."""
    if isinstance(error, AnswerCutOff) and error.__cause__ is not None:
        return failure_of(error.__cause__)
    if isinstance(error, click.UsageError):
        return _usage_failure(error)
    if isinstance(error, click.ClickException):
        return Failure(REFUSED, error.format_message())
    if isinstance(error, click.Abort):
        return Failure(INTERRUPTED, "interrupted")
    if isinstance(error, StoppedAtOnce):
        return Failure(INTERRUPTED, str(error), None, error.remedy)
    # Not at the top: the engine brings the database library, and a misspelt command needs neither.
    from batchwright.config.errors import SettingsError
    from batchwright.engine.errors import Refused
    from batchwright.engine.faults import database_error_text, reason_of

    if isinstance(error, Refused):
        return Failure(REFUSED, error.message, error.field, error.remedy)
    if isinstance(error, SettingsError):
        return Failure(REFUSED, str(error), error.field, error.remedy)
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return Failure(
            FAILED, f"{error.strerror}{place}", None, "Look at the file, folder or disk it is about"
        )
    words = database_error_text(error)
    if words is not None:
        return Failure(FAILED, words[0], None, words[1])
    remedy = "Run `batchwright -v …` with the same words to see the traceback"
    return Failure(FAILED, f"{type(error).__name__}: {reason_of(error)}", None, remedy)


def _usage_failure(error: click.UsageError) -> Failure:
    message, field, remedy = error.format_message(), None, None
    if isinstance(error, click.NoSuchOption | click.BadOptionUsage):
        field = error.option_name
    elif isinstance(error, click.BadParameter) and error.param is not None:
        field = (
            error.param.opts[0] if isinstance(error.param, click.Option) else error.param.human_readable_name
        )
    if error.ctx is not None:
        remedy = f"See `{error.ctx.command_path} --help`"
    return Failure(REFUSED, message, field, remedy)


def _say(failure: Failure, *, as_json: bool) -> None:
    from batchwright.config.secrets import without_password
    from batchwright.config.texts import without_middle

    message = without_middle(without_password(failure.message))
    field = failure.field and without_middle(failure.field)
    if as_json:
        error = {"message": message, "field": field, "remedy": failure.remedy}
        try:
            write_json({"error": error})
            sys.stdout.flush()
        except OSError:  # stdout takes no more, which may be what failed: stderr has it all
            drop_further_output()
    say("Error: ", fg="red", bold=True, nl=False, err=True)
    say(message, err=True)
    for name, text in (("Field", field), ("Remedy", failure.remedy)):
        if text:
            say(f"  {name}: {text}", err=True)


def _refuse_what_is_no_text(arguments: Sequence[str]) -> None:
    # Python carries such bytes along as halves of surrogate pairs, which no database, mail or JSON takes.
    for place, word in enumerate(arguments, start=1):
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise click.UsageError(
                f"Argument {place}, {word!a}, is not text in this terminal's encoding. "
                "Type it again, or rename the file, in UTF-8."
            )


def _let_any_text_through() -> None:
    make_stderr_unfailing()
    # Python has no stream at all where the caller closed it (`>&-`, `<&-`): what is written then goes nowhere, and
    # there is nothing to read.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115
    # A name that the terminal's encoding cannot show is written as an escape; it must not end the command.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


@click.group(
    "batchwright",
    cls=Program,
    lazy=COMMANDS,
    example="batchwright demo\nbatchwright run draft-usage-rating",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-v", "--verbose", count=True, help="Log more; twice for everything. Shows tracebacks.")
@click.option("-q", "--quiet", count=True, help="Log less; no progress.")
@timeout_option
@click.version_option(package_name="batchwright", message="%(prog)s %(version)s")
@click.pass_obj
def main(verbosity: Verbosity, verbose: int, quiet: int) -> None:
    """Runs billing batch jobs: rates usage in recoverable scopes and reports by mail."""
    from batchwright.config.logging import configure_logging

    verbosity.level = verbose - quiet
    configure_logging(verbosity.level)
