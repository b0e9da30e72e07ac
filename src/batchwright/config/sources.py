"""Where settings are given: flags over the environment over the file. What is unknown is a problem."""

from __future__ import annotations

import difflib
import errno
import os
import stat
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchwright.config.errors import Problem

PREFIX = "BATCHWRIGHT_"
CONFIG_VARIABLE = "BATCHWRIGHT_CONFIG"
FILE_NAME = "batchwright.toml"
LONGEST_FILE = 1_000_000


@dataclass(frozen=True)
class Given:
    """A value as it was given, and where."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Names:
    """The settings there are, by dotted name. Below one of `maps` any name is allowed, in lower case."""

    plain: Collection[str]
    maps: Collection[str]

    def known(self, name: str) -> bool:
        """Whether there is a setting of that dotted name."""
        head, dot, tail = name.partition(".")
        return name in self.plain or (head in self.maps and bool(dot) and bool(tail))

    def folded(self, name: str) -> str:
        """`name` in lower case where it is a key of a mapping, so that file and environment mean the same."""
        return name.lower() if name.partition(".")[0] in self.maps else name

    def closest(self, wrong: str) -> str | None:
        """The setting that was probably meant; ``None`` where none is near."""
        candidates = [*self.plain, *(f"{name}.NAME" for name in self.maps)]
        found = difflib.get_close_matches(wrong.lower().replace("-", "_"), candidates, n=1)
        return found[0] if found else None


@dataclass
class Gathered:
    """What the sources gave, by dotted name, the stronger over the weaker, and what was wrong with them."""

    given: dict[str, Given] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def gather(
    names: Names, environ: Mapping[str, str], directory: Path, flags: Mapping[str, object]
) -> Gathered:
    """Reads all sources. An empty variable and a flag of `None` count as not given.

    Raises:
        TypeError: a flag that is not a setting, which is a fault of the program.
    """
    gathered = Gathered()
    _read_file(gathered, names, environ, directory)
    _read_environment(gathered, names, environ)
    for flag, value in flags.items():
        name = flag.replace("__", ".", 1)
        if not names.known(name):
            raise TypeError(f"{flag!r} is not a setting")
        if value is not None:
            gathered.given[name] = Given(value, f"--{flag.replace('__', '-').replace('_', '-')}")
    return gathered


def settings_files(environ: Mapping[str, str], directory: Path) -> tuple[Path, ...]:
    """The file that settings are read from, and that of the working directory, which may not be there."""
    return tuple(directory / name for name in (environ.get(CONFIG_VARIABLE), FILE_NAME) if name)


def variable_of(name: str) -> str:
    """The environment variable of a dotted name: `mail.smtp_port` is `BATCHWRIGHT_MAIL__SMTP_PORT`."""
    return PREFIX + name.replace(".", "__").upper()


def _read_environment(gathered: Gathered, names: Names, environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        if not variable.upper().startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        name = names.folded(variable[len(PREFIX) :].lower().replace("__", ".", 1))
        is_exact = variable.startswith(PREFIX) and (
            name.partition(".")[0] in names.maps or variable == variable.upper()
        )
        if not (names.known(name) and is_exact):
            gathered.problems.append(_unknown_variable(names, variable, name))
        elif environ[variable]:
            gathered.given[name] = Given(environ[variable], f"environment variable {variable}")


def _unknown_variable(names: Names, variable: str, name: str) -> Problem:
    closest = names.closest(name)
    meant = f"Did you mean {variable_of(closest)}?" if closest else "Unset it."
    if closest is None and variable.upper() == CONFIG_VARIABLE:
        meant = f"Did you mean {CONFIG_VARIABLE}?"
    # The value is not shown: nobody knows whether a misspelt name holds a password.
    return Problem(variable, f"environment variable {variable}", None, "there is no such setting", meant)


def _read_file(gathered: Gathered, names: Names, environ: Mapping[str, str], directory: Path) -> None:
    named = environ.get(CONFIG_VARIABLE)
    path = directory / (named or FILE_NAME)
    if not named and not os.path.lexists(path):
        return
    where = str(path) if named else FILE_NAME
    try:
        content = tomllib.loads(_text_of(path, is_trusted=bool(named)))
    except _NotTrusted as error:
        remedy = f"Take it away, or name it in {CONFIG_VARIABLE} if you trust it."
        gathered.problems.append(Problem("file", "the working directory", str(path), str(error), remedy))
    except RecursionError:
        reason = "the settings file has values nested too deeply"
        gathered.problems.append(Problem("file", where, str(path), reason, "Repair it."))
    except OSError as error:
        origin = f"environment variable {CONFIG_VARIABLE}" if named else "the working directory"
        reason = f"the settings file cannot be read: {error.strerror}"
        remedy = f"Name a readable TOML file in {CONFIG_VARIABLE}, or unset it."
        gathered.problems.append(Problem("file", origin, str(path), reason, remedy))
    except UnicodeDecodeError as error:
        reason = f"the settings file is not UTF-8 (byte {error.start + 1})"
        gathered.problems.append(Problem("file", where, str(path), reason, "Save it as UTF-8."))
    except tomllib.TOMLDecodeError as error:
        reason = f"the settings file is not TOML: {error}"
        gathered.problems.append(Problem("file", where, str(path), reason, "Repair that line."))
    else:
        _take_content(gathered, names, content, where)


class _NotTrusted(Exception):
    """A settings file that somebody else may have put into the working directory."""


def _text_of(path: Path, *, is_trusted: bool) -> str:
    """The text of the file. One that is only found, and not named, can name code: it must be the caller's or root's.

    Raises `_NotTrusted`. What is judged is what was opened: the name may lead elsewhere a moment later.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        opened = os.fstat(file.fileno())
        if not is_trusted:
            _refuse_untrusted(path, opened)
        elif not (stat.S_ISREG(opened.st_mode) or stat.S_ISCHR(opened.st_mode)):
            raise OSError(errno.EINVAL, "it is not a regular file")
        content = file.read(LONGEST_FILE + 1)
    if len(content) > LONGEST_FILE:
        raise OSError(errno.EFBIG, f"it has more than {LONGEST_FILE:,} bytes")
    return content.decode("utf-8")


def _refuse_untrusted(path: Path, opened: os.stat_result) -> None:
    if not stat.S_ISREG(opened.st_mode):
        raise _NotTrusted("the settings file is not a regular file")
    if {opened.st_uid, os.lstat(path).st_uid} - {0, os.geteuid()}:
        raise _NotTrusted("the settings file belongs neither to you nor to root")
    if opened.st_mode & stat.S_IWOTH:
        raise _NotTrusted("the settings file may be written by anybody")


def _take_content(gathered: Gathered, names: Names, content: Mapping[str, Any], where: str) -> None:
    tables = {name.partition(".")[0] for name in names.plain if "." in name} | set(names.maps)
    for key, value in _leaves(content, tables):
        origin = f"{where}, key {key}"
        name = names.folded(key)
        if names.known(name):
            gathered.given[name] = Given(value, origin)
        elif key in tables:
            reason, remedy = "it must be a table", f"Write its settings below a line [{key}]."
            gathered.problems.append(Problem(key, origin, None, reason, remedy))
        else:
            closest = names.closest(key)
            meant = f"Did you mean {closest}?" if closest else "Remove it."
            gathered.problems.append(Problem(key, origin, None, "there is no such setting", meant))


def _leaves(content: Mapping[str, Any], tables: Collection[str]) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if key in tables and isinstance(value, dict):
            yield from ((f"{key}.{inner}", each) for inner, each in value.items())
        else:
            yield key, value
