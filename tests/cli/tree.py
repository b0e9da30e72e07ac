"""Every command there is, found by walking from the root."""

from __future__ import annotations

from collections.abc import Iterator

import click

from batchwright.cli.groups import LazyGroup
from batchwright.cli.main import main


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The words of each command, groups too, and the command."""
    yield from _below((), main)


def leaves() -> list[tuple[str, ...]]:
    """The words of each command that does something."""
    return [words for words, command in commands() if not isinstance(command, click.Group)]


def _below(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        for name in list(command.commands):
            child = command.load(name) if isinstance(command, LazyGroup) else command.commands[name]
            assert child is not None
            yield from _below((*words, name), child)
