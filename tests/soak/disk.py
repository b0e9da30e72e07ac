"""A file system that is full for some seconds while runs are driven: everything goes on by itself, every record once.

The file systems are small ones in memory, mounted for the purpose: only root may do that, on Linux. On SQLite the
database, its write-ahead log and its side files share a folder; on PostgreSQL the data of the database has a tablespace
there. A full disk of PostgreSQL's own log is a crash of the server: see `outages.py`.
"""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from psycopg import sql

from tests.soak.fleet import Entry, Fleet, fleet
from tests.soak.mail import mail_server, mail_settings
from tests.soak.proof import Proof
from tests.support.postgres import OwnServer

Say = Callable[[str], None]

PLACES: Final = ("database", "log", "mail")
FULL_SECONDS: Final = (1.0, 3.0, 20.0)
LEASE_SECONDS: Final = 2.0
WORKERS: Final = 2
RUNS: Final = 3
INPUTS: Final = 3_000
_MEGABYTES: Final = 256
_SCOPES_BEFORE: Final = (5, 150)
_PATIENCE_SECONDS: Final = 180.0


class CannotMount(Exception):
    """This process may not mount a file system."""


@dataclass(slots=True)
class Found:
    """How often which place was full, and what came of it."""

    times: Counter[str] = field(default_factory=Counter)
    after_seconds: list[float] = field(default_factory=list)
    """From the moment when there was room again to the end of the last run, of each time."""
    retried_scopes: int = 0
    taken_over: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        times = ", ".join(f"{place} {number}" for place, number in self.times.items())
        longest = f"{max(self.after_seconds):.1f} s" if self.after_seconds else "nothing"
        return (
            f"full: {times}; {self.retried_scopes} scopes tried again, {self.taken_over} takeovers;"
            f" over {longest} after there was room at the longest; {len(self.faults)} faults"
        )


def compare(
    place: str,
    folder: Path,
    server: OwnServer | None,
    *,
    seed: int,
    say: Say,
    seconds: tuple[float, ...] = FULL_SECONDS,
) -> Found:
    """Fill this place for so many seconds, time after time, each while three runs are at work.

    Raises:
        CannotMount: this process may not mount a file system.
    """
    chance, found = Random(f"{seed}/disk/{place}"), Found()
    with _small_disk(folder) as disk, mail_server() as smtp, _database(place, folder, disk, server) as url:
        proof = Proof(
            url, smtp, chance, runs=RUNS, inputs=INPUTS, mail_folder=disk if place == "mail" else None
        )
        settings = {"BATCHWRIGHT_LEASE_SECONDS": str(LEASE_SECONDS), **mail_settings(smtp)}
        if place == "mail":
            settings |= {"BATCHWRIGHT_MAIL__TRANSPORT": "file", "BATCHWRIGHT_MAIL__DIRECTORY": str(disk)}
        workers_folder = folder / "workers"
        workers_folder.mkdir()
        with fleet(workers_folder, url, workers=WORKERS, settings=settings) as workers:
            workers.said_in = disk if place == "log" else workers_folder
            workers.ready()
            for full in seconds:
                _once(place, disk, full, proof, workers, chance, found)
                say(str(found))
                if found.faults:
                    break
            workers.drain()
            found.faults += workers.faults
        proof.close()
    return found


def _once(
    place: str, disk: Path, full: float, proof: Proof, workers: Fleet, chance: Random, found: Found
) -> None:
    proof.begin_again()
    heard: list[Entry] = []
    run_ids = proof.submit(lambda run_id: None)
    started = chance.randrange(*_SCOPES_BEFORE)
    until = time.monotonic() + _PATIENCE_SECONDS
    # The mail folder matters when a run ends, so it is full from the start.
    while place != "mail" and sum(one.point == "scope committed" for one in heard) < started:
        heard += workers.hear()
        if time.monotonic() > until:
            found.faults.append(f"{place}: no {started} scopes within {_PATIENCE_SECONDS:g} s")
            return
        time.sleep(0.002)
    _keep_full(disk, full, workers)
    found.times[f"{place} for {full:g} s"] += 1
    room = time.monotonic()
    while not proof.is_over(run_ids):
        workers.tend()
        if workers.faults or time.monotonic() > room + _PATIENCE_SECONDS:
            found.faults.append(
                f"{place} full for {full:g} s: {run_ids} not over {_PATIENCE_SECONDS:g} s after"
            )
            return
        time.sleep(0.02)
    found.after_seconds.append(time.monotonic() - room)
    heard += workers.hear()
    found.retried_scopes += sum(one.event == "ScopeRetried" for one in heard)
    found.taken_over += sum(one.event == "RunTakenOver" for one in heard)
    found.faults += [f"{place} full for {full:g} s: {line}" for line in proof.faults(run_ids, heard, [])]


def _keep_full(disk: Path, seconds: float, workers: Fleet) -> None:
    """No byte more fits on it for so long, although others free some now and then."""
    filler, until = disk / "filler", time.monotonic() + seconds
    with filler.open("wb", buffering=0) as file:
        while time.monotonic() < until:
            for size in (1_000_000, 4_096, 1):
                _fill(file.fileno(), size)
            workers.tend()
            time.sleep(0.005)
    filler.unlink()


def _fill(file: int, size: int) -> None:
    block = bytes(size)
    while True:
        try:
            os.write(file, block)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return
            raise


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_MEGABYTES}m,mode=0777", "none", str(disk)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        raise CannotMount(mounted.stderr.strip())
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def _database(place: str, folder: Path, disk: Path, server: OwnServer | None) -> Iterator[str]:
    """A new database, on the small disk where that is to be full. Gives its URL."""
    if server is None:
        yield f"sqlite:///{disk if place == 'database' else folder}/batchwright.db"
        return
    name = f"disk_{place}"
    if place != "database":
        yield server.create_database(name)
        return
    data = disk / "data"
    data.mkdir()
    os.chown(data, (server.folder / "data").stat().st_uid, (server.folder / "data").stat().st_gid)
    space = sql.Identifier("small")
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(space, sql.Literal(str(data))))
    url = server.create_database(name)
    with server.connect() as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET TABLESPACE {}").format(sql.Identifier(name), space))
    try:
        yield url
    finally:
        server.drop_database(name)
        with server.connect() as connection:
            connection.execute(sql.SQL("DROP TABLESPACE {}").format(space))
