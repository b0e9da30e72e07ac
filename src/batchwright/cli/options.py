"""The options that several commands share, each declared once."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from batchwright.cli.output import Format

F = TypeVar("F", bound=Callable[..., Any])

LONGEST_TEXT = 2**28
"""Bytes of the longest file of ids or schedules: ten million ids are less."""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
limit_option = click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Maximum number of rows (default: all)."
)
actor_option = click.option("--actor", metavar="WHO", help="Who acts (default: the setting `actor`).")
where_option = click.option(
    "--where",
    metavar="FILTER",
    help="Only usage inputs that match, such as status=Error,code=no_price. Names are status, code, customer_id, "
    "asset_line_item_id, product, from and before (usage dates, the last one left out); repeat a name to "
    "match any of its values.",
)
reason_option = click.option("--reason", metavar="TEXT", help="Why, for the audit trail.")


def _table_or_json(_ctx: click.Context, _param: click.Parameter, as_json: bool) -> Format:
    return "json" if as_json else "table"


json_option = click.option(
    "--json", "format", is_flag=True, callback=_table_or_json, help="Answer with one JSON document."
)
"""`--json` of a listing: the command gets ``format``."""


def format_option(command: F) -> F:
    """`--format table|csv|json`, and `--json` for the last of them: the command gets ``format``."""

    def chosen(ctx: click.Context, _: click.Parameter, value: str | None) -> Format:
        if ctx.params.pop("as_json", False):
            if value not in (None, "json"):
                raise click.UsageError(f"--json and --format {value} exclude each other.", ctx)
            return "json"
        return value or "table"  # type: ignore[return-value]  # one of the choices

    choice = click.Choice(["table", "csv", "json"])
    command = click.option("--format", type=choice, callback=chosen, help="Output format (default: table).")(
        command
    )
    # Eager, so that it is read before the format, whichever comes first on the line.
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, expose_value=True, help="The same as --format json."
    )(command)


def read_text(file: str, param_hint: str | None = None) -> str:
    """The text of a file that somebody names, of standard input for `-`. Raises ``click.BadParameter``."""
    try:
        data = sys.stdin.buffer.read(LONGEST_TEXT + 1) if file == "-" else _bytes_of(file)
        if len(data) > LONGEST_TEXT:
            raise OSError(errno.EFBIG, f"it has more than {LONGEST_TEXT:,} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        reason = f"cannot read {file!r}: {error.strerror}."
        raise click.BadParameter(reason, param_hint=param_hint) from None
    except UnicodeDecodeError as error:
        reason = f"{file!r} is not UTF-8 text (byte {error.start + 1})."
        raise click.BadParameter(reason, param_hint=param_hint) from None


def _bytes_of(file: str) -> bytes:
    # Without O_NONBLOCK the opening of a pipe would wait for a writer, which may never come.
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        os.set_blocking(stream.fileno(), True)
        data = stream.read(LONGEST_TEXT + 1)
        if not data and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.ENXIO, "nobody writes into it")
    return data


def _read_ids(_ctx: click.Context, _param: click.Parameter, file: str | None) -> list[str] | None:
    """The ids in a file, one a line, blank lines left out; ``None`` where no file was given.

    A file without an id is refused: an empty list must not end up meaning *everything*.
    """
    if file is None:
        return None
    lines = read_text(file).splitlines()
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise click.BadParameter(f"{file!r} holds no id.")
    return ids


ids_from_option = click.option(
    "--ids-from",
    metavar="FILE",
    callback=_read_ids,
    help="Ids from a file, one a line; - reads standard input.",
)
