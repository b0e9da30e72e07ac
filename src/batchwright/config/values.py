"""How the text of a setting becomes its value. Each function raises `ValueError` that says what is wrong."""

from __future__ import annotations

import re
from decimal import Decimal
from ipaddress import ip_network as network
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from batchwright.config.addresses import parsed

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_BYTES_IN = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_PLAIN_PATH = re.compile(r"(/(?!\.)[\w.~-]+)*/*", re.ASCII)
_CEILING = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)\s*(%?)")


def database_url(text: str, directory: Path) -> str:
    """A URL as SQLAlchemy takes it: `sqlite:////absolute/path` or `postgresql+psycopg://…`.

    The path of an SQLite file is taken relative to `directory`.
    """
    named, separator, rest = text.partition("://")
    if not separator:
        raise ValueError("is not a URL")
    scheme = named.lower()
    if scheme == "sqlite":
        return _sqlite_url(rest, directory)
    if scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        kind = f"the database kind {scheme!r}" if scheme.isidentifier() else "a database kind"
        raise ValueError(f"names {kind}, which is not supported")
    parts = urlsplit(f"postgresql://{rest}")
    if not parts.path.strip("/"):
        raise ValueError("names no database after the host")
    if "@" in parts.path or parts.netloc.count("@") > 1:
        raise ValueError("has an '@', a '/' or a '?' in its password, which are written as %40, %2F and %3F")
    if parts.fragment:
        raise ValueError("has a '#' in it, which a password has to write as %23")
    if _port_is_wrong(text):
        raise ValueError("has no usable port")
    return f"postgresql+psycopg://{rest}"


def _sqlite_url(rest: str, directory: Path) -> str:
    if not rest.startswith("/"):
        raise ValueError("has a host, but SQLite is a file on this machine" if rest else "names no file")
    path = rest[1:]
    if path in ("", ":memory:"):
        raise ValueError("is a database in memory, which no second process could see")
    if "?" in path:
        raise ValueError("has options after '?', which are not supported")
    return f"sqlite:///{directory / path}"


def _port_is_wrong(url: str) -> bool:
    try:
        return urlsplit(url).port == 0
    except ValueError:
        return True


def byte_size(text: str) -> int:
    """Bytes from `5 MB` (a million each), `4 MiB` (1024 * 1024 each) or a plain number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _BYTES_IN:
        raise ValueError("is not a size")
    return int(Decimal(match[1]) * _BYTES_IN[match[2].lower()])


def shown_size(size: int) -> str:
    """`size` bytes in the largest decimal unit that divides it: `5 MB`."""
    for unit in ("GB", "MB", "kB"):
        each = _BYTES_IN[unit.lower()]
        if size and size % each == 0:
            return f"{size // each} {unit}"
    return f"{size} bytes"


def mail_address(text: str) -> str:
    """`name@host`, with or without a display name, as it was given."""
    parsed(text)
    return text


def host_name(text: str) -> str:
    """The name or address of a host, as it goes into a connection."""
    if not text or not text.isprintable() or set(text) & set(" /@"):
        raise ValueError("is not the name or address of a host")
    return text


def one_line(text: str) -> str:
    """Text that can stand in a mail header or a table."""
    if not text.strip():
        raise ValueError("is empty")
    if not text.isprintable():
        raise ValueError("holds a line break or another control character")
    return text


def executor(text: str) -> str:
    """`inline`, `local` or `dask://host:port`."""
    if text in ("inline", "local"):
        return text
    if not text.startswith("dask://"):
        raise ValueError("is not a known executor")
    parts = urlsplit(text)
    if _port_is_wrong(text) or not parts.hostname or parts.port is None or parts.path.strip("/"):
        raise ValueError("does not name the host and the port of a Dask scheduler")
    if "@" in parts.netloc:
        raise ValueError("has a user name, which a Dask scheduler does not know")
    return f"dask://{parts.netloc}"


def error_ceiling(text: str) -> str:
    """`10` (errors) or `2.5%` (of the records), without blanks."""
    match = _CEILING.fullmatch(text.strip())
    if match is None or (not match[2] and "." in match[1]):
        raise ValueError("is neither a whole number of errors nor a percentage")
    if match[2] and Decimal(match[1]) > 100:
        raise ValueError("is more than all records")
    return match[1] + match[2]


def web_address(text: str) -> str:
    """An `http` or `https` address, perhaps with a path, without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or _port_is_wrong(text):
        raise ValueError("is not the address of a web server")
    if "@" in parts.netloc:
        raise ValueError("has a user name or a password in it, and is shown in every mail")
    if "?" in text or "#" in text or not _PLAIN_PATH.fullmatch(parts.path):
        raise ValueError("has more after its host than a path of letters, digits and the signs . _ ~ -")
    return text.rstrip("/")


def ip_network(text: str) -> str:
    """An address of IP version 4 or 6, or a network of them."""
    try:
        return str(network(text)) if "/" in text else str(network(text).network_address)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IP address or network") from error


def time_zone(text: str) -> str:
    """The name of an IANA time zone, which not every file of its database is; schedules refuse the same."""
    if text in ("localtime", "posixrules", "Factory") or text.startswith(("posix/", "right/")):
        raise ValueError("is a file of the zone database and no time zone of its own")
    try:
        ZoneInfo(text)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError("is not a time zone of the IANA database") from error
    return text


def import_path(text: str) -> str:
    """`package.module:Class`, as entry points are written."""
    if not _IMPORT_PATH.fullmatch(text):
        raise ValueError(f"{text!r} is not an import path")
    return text
