"""Help pages, misspelt words, and what the program loads to show them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from batchwright.cli.main import COMMANDS, main
from tests.cli.conftest import PROGRAM, Batchwright
from tests.cli.tree import commands, leaves

ROOT = Path(__file__).resolve().parents[2]
TREE = dict(commands())
WORDS = [pytest.param(words, id=" ".join(words) or "batchwright") for words in TREE]
EXPECTED = {
    "": ["demo", "import", "forecast", "serve", "worker", "doctor"],
    "run": [
        "draft-usage-rating",
        "usage-rating",
        "usage-unrating",
        "usage-input-reset",
        "usage-input-deletion",
        "data-recalculation",
    ],
    "recalculation": ["offer", "charges"],
    "runs": [
        "list",
        "show",
        "outcomes",
        "retry",
        "resume",
        "abort",
        "pause",
        "move",
        "preview",
        "apply",
        "hold",
        "prune",
    ],
    "usage-inputs": ["list", "show", "add", "edit", "delete", "reset"],
    "usage-schedules": ["list"],
    "billing-schedules": ["list", "show", "set-status"],
    "customers": ["list", "show"],
    "accounts": ["list", "show"],
    "price-books": ["list", "show"],
    "prices": ["list", "show"],
    "contracts": ["list", "show"],
    "custom-line-items": ["list", "show"],
    "asset-line-items": ["list", "show", "amend"],
    "schedules": [
        "add",
        "list",
        "show",
        "update",
        "pause",
        "resume",
        "rewind",
        "remove",
        "run-now",
        "next",
        "fires",
        "apply",
        "backfill",
        "hold-all",
        "release-all",
    ],
    "cron": ["explain", "next"],
    "jobs": ["list", "show"],
    "mail": ["list", "show", "retry", "preview"],
    "users": [
        "add",
        "list",
        "role",
        "password",
        "token",
        "tokens",
        "revoke-token",
        "sessions",
        "disable",
        "enable",
        "preferences",
    ],
    "audit": ["list", "verify"],
    "workers": ["list"],
    "db": ["upgrade", "check", "backup"],
    "config": ["show", "check"],
}


def resolve(line: str) -> tuple[click.Command, list[str]]:
    """The command that a typed line names, and its arguments."""
    program, *words = shlex.split(line)
    assert program == "batchwright", line
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        command = TREE[(*_path(command), words.pop(0))]
    return command, words


def _path(command: click.Command) -> tuple[str, ...]:
    return next(words for words, candidate in TREE.items() if candidate is command)


def test_the_commands_are_those_of_the_contract() -> None:
    expected = [(*group.split(), name) for group, names in EXPECTED.items() for name in names]
    assert sorted(leaves()) == sorted(expected)


@pytest.mark.parametrize("words", WORDS)
def test_every_help_page_ends_with_an_example_of_that_command(
    words: tuple[str, ...], batchwright: Batchwright
) -> None:
    result = batchwright(*words, "--help")
    assert result.exit_code == 0
    _, heading, example = result.stdout.partition("\nExample:\n")
    assert heading
    assert example.strip().startswith(" ".join(["batchwright", *words]))


@pytest.mark.parametrize("words", WORDS)
def test_every_example_can_be_parsed(words: tuple[str, ...]) -> None:
    example: str = TREE[words].example  # type: ignore[attr-defined]  # all commands are of our classes
    for line in example.splitlines():
        command, arguments = resolve(line)
        assert not isinstance(command, click.Group), line
        command.make_context("batchwright", arguments)


def test_the_list_of_commands_says_of_each_what_its_own_page_says_first() -> None:
    for name, (_, summary) in COMMANDS.items():
        help_text = TREE[(name,)].help or ""
        assert help_text.splitlines()[0] == summary


@pytest.mark.parametrize(
    "words", [words for words, command in TREE.items() if isinstance(command, click.Group)]
)
def test_a_list_of_commands_cuts_no_summary_short(words: tuple[str, ...], batchwright: Batchwright) -> None:
    shown = "".join(batchwright(*words, "--help").stdout.split())
    assert "..." not in shown.replace("[ARGS]...", "")
    for name, command in TREE.items():
        if name[:-1] == words and name:
            assert "".join((command.help or "").partition("\n\n")[0].split()) in shown


def test_every_command_but_the_demo_the_worker_and_serve_answers_in_json_where_asked() -> None:
    with_json = {words for words in leaves() if any("--json" in p.opts for p in TREE[words].params)}
    assert set(leaves()) - with_json == {("demo",), ("worker",), ("serve",)}


def test_every_command_is_in_the_document_with_an_example() -> None:
    document = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    lines = re.findall(r"^ *batchwright [^\n]*", document, flags=re.MULTILINE)
    shown = set()
    for line in lines:
        command, arguments = resolve(line.strip().split("   ")[0])
        if not isinstance(command, click.Group):
            command.make_context("batchwright", arguments)
        shown.add(_path(command))
    assert set(leaves()) - shown == set()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("rnus list", "runs"),
        ("usage-input list", "usage-inputs"),
        ("runs lits", "list"),
        ("runs list --limt 3", "--limit"),
        ("run draft-usage-ratings", "draft-usage-rating"),
        ("run draft-usage-rating --asset-line-itm ALI-0001", "--asset-line-item"),
    ],
)
def test_a_misspelt_word_is_refused_with_the_word_that_was_meant(
    line: str, meant: str, batchwright: Batchwright
) -> None:
    result = batchwright(*line.split())
    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
    assert f"'{meant}'" in result.stderr


def test_no_command_at_all_shows_the_help_on_stderr_and_is_refused(batchwright: Batchwright) -> None:
    result = batchwright()
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Commands:" in result.stderr


def test_the_list_of_commands_imports_few_modules_and_none_of_the_heavy_ones() -> None:
    """A short answer has to come at once, and its time is that of its imports."""
    command = [sys.executable, "-X", "importtime", str(PROGRAM), "--help"]
    imported = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    lines = [line.rpartition("|")[2].strip() for line in imported.splitlines()]
    modules = {line.removeprefix("batchwright.").partition(".")[0] for line in lines}
    assert "cli" in modules
    assert not modules & {"sqlalchemy", "rich", "pydantic", "structlog", "engine", "operations", "dask"}
    assert len([line for line in lines if line.startswith("batchwright")]) <= 15
    assert len(lines) <= 180


def test_the_version_is_that_of_the_package(batchwright: Batchwright) -> None:
    assert batchwright("--version").stdout == "batchwright 0.1.0\n"
