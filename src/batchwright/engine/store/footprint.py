"""What this process and its children take of the machine and of the database, as Linux and the server tell it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

_CONNECTIONS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = ANY(:names)"
)
_LONGEST_NAME = 63
"""Of an application, as PostgreSQL keeps it."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """How many processes, and what all of them take; ``None`` where nobody says.

    ``rss_bytes`` counts what they share for each of them, ``pss_bytes`` once. On SQLite connections are open files of
    the database.
    """

    processes: int | None = None
    rss_bytes: int | None = None
    pss_bytes: int | None = None
    connections: int | None = None


UNKNOWN = Footprint()


def application_name(pid: int | None = None) -> str:
    """What a process of this host tells PostgreSQL that it is."""
    return f"batchwright {os.getpid() if pid is None else pid}@{socket.gethostname()}"[:_LONGEST_NAME]


def footprint(connection: Connection, database: Path | None) -> Footprint:
    """That of this process; ``database`` is the file of an SQLite database."""
    pids = _tree(os.getpid())
    if not pids:
        return UNKNOWN
    memory = [found for found in map(_memory, pids) if found is not None]
    rss, pss = (sum(part) for part in zip(*memory, strict=True)) if memory else (None, None)
    if database is not None:
        return Footprint(len(pids), rss, pss, sum(_opened(pid, database) for pid in pids))
    names = [application_name(pid) for pid in pids]
    return Footprint(len(pids), rss, pss, connection.execute(_CONNECTIONS, {"names": names}).scalar())


def _tree(first: int) -> list[int]:
    """The process, its children, and theirs; nothing where the system does not say."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = [first] if children else []
    for pid in found:  # it grows meanwhile
        found += children.get(pid, [])
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The program's name, in parentheses, may hold blanks; the parent is the second field behind it.
            yield int(place.parent.name), int(place.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue


def _memory(pid: int) -> tuple[int, int] | None:
    """Its RSS and PSS in bytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended, or may not be looked into
        return None
    found = {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines[1:])
    }
    return found["Rss"], found["Pss"]


def _opened(pid: int, file: Path) -> int:
    """How often it has a file open."""
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
        there = file.stat()
    except OSError:
        return 0
    return sum(_leads_to(link, there) for link in links)


def _leads_to(link: Path, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(link.stat(), there)
    except OSError:
        return False
