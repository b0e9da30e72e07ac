"""Exceptions as text: their message, without the statement sent to a database, and where they were raised."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import PurePath
from traceback import walk_tb
from types import FrameType
from typing import Any, TextIO

from batchwright.config.secrets import without_password
from batchwright.config.texts import clean

MACHINERY = ("batchwright.engine.", "sqlalchemy.", "psycopg.", "pydantic.", "contextlib.")
"""Modules that call and are called by everybody: an exception passes through them, and is not about them."""


def message_of(error: BaseException) -> str:
    """What an exception says. Of a database's error what its driver says of it first: the statement, its parameters and
    the rows that it met may hold a secret; so may a URL. Raises what its own ``__str__`` raises.
    """
    raised: Any = getattr(error, "orig", None) or error
    primary = getattr(getattr(raised, "diag", None), "message_primary", None)
    if isinstance(primary, str):
        return without_password(primary)
    if raised is error and hasattr(error, "statement"):
        return without_password(str(error.args[0])) if error.args else ""
    return without_password(str(raised).strip())


def place_of(error: BaseException) -> str | None:
    """File and line where it was raised, or where the code went into a library for it; ``None`` where it is the
    engine's own.
    """
    place = None
    if type(error).__module__.startswith(MACHINERY[0]):
        return None
    for frame, line in walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__", ""))
        if not f"{name}.".startswith(MACHINERY) and name.partition(".")[0] not in sys.stdlib_module_names:
            place = f"{_file(frame, name)}:{line}"
    return place


def traceback_text(error: BaseException) -> str:
    """Its traceback and those of what led to it: files, lines and functions."""
    return "\n".join(_lines(error, set()))


def write_traceback(stream: TextIO, exc_info: Any) -> None:
    """As structlog's renderer for a terminal wants it."""
    stream.write("\n" + clean(traceback_text(exc_info[1])))


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield "That led to:"
    yield "Traceback (most recent call last):"
    for frame, line in walk_tb(error.__traceback__):
        yield f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_name}'
    try:
        text = message_of(error)
    except Exception:
        text = "(it cannot say what)"
    yield f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


def _file(frame: FrameType, module: str) -> str:
    """The file below the folder that its import began in: the same wherever the package is installed."""
    path = PurePath(frame.f_code.co_filename)
    return "/".join(path.parts[-1 - module.count(".") :])
