"""How commands are declared: each with its example, groups in the order of the page, modules loaded when needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from batchwright.cli.verbosity import Verbosity


def _take_timeout(ctx: click.Context, _: click.Parameter, seconds: float | None) -> None:
    given = ctx.find_object(Verbosity)
    if given is not None and seconds is not None:
        if not 0 < seconds < float("inf"):
            raise click.BadParameter(f"{seconds:g} is not a number of seconds above 0.")
        given.timeout = seconds


timeout_option = click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    expose_value=False,
    callback=_take_timeout,
    help="How long to wait for other writers of an SQLite database (default: a minute).",
)
"""Before the name of a command, where its help stands, or among its own options."""


class Command(click.Command):
    """A command whose help ends with an example, one or more lines as they are typed."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        if not any("--timeout" in param.opts for param in self.params):
            hidden = click.Option(
                ["--timeout"], type=float, expose_value=False, callback=_take_timeout, hidden=True
            )
            self.params.append(hidden)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example, line by line as written: it must work as pasted."""
        write_example(formatter, self.example)


class Group(click.Group):
    """Commands under one word, listed in the order they were declared."""

    command_class = Command

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in order of declaration."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with the first paragraph of its help, whole: click itself would cut it short."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, _first_paragraph(command)) for name, command in found if command is not None]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example, as for a command."""
        write_example(formatter, self.example)


class LazyGroup(Group):
    """A group that imports a command's module only when that command is called.

    ``lazy`` maps a command's name to (``module:attribute``, first line of its help): the list of commands is
    printed from these alone, so that `--help` starts fast.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting = {name: target for name, (target, _) in lazy.items()}
        for name, (_, summary) in lazy.items():
            self.add_command(click.Command(name, help=summary), name)

    def load(self, name: str) -> click.Command | None:
        """The command itself, imported now if it was not yet; ``None`` for an unknown name."""
        if name in self._waiting:
            module, _, attribute = self._waiting.pop(name).partition(":")
            self.commands[name] = getattr(import_module(module), attribute)
        return self.commands.get(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Load the command that is called, then go on as any group."""
        self.load(args[0])
        return super().resolve_command(ctx, args)


def _first_paragraph(command: click.Command) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())


def write_example(formatter: click.HelpFormatter, example: str) -> None:
    """Write the section *Example* of a help page."""
    with formatter.section("Example"):
        for line in example.splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
