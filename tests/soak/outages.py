"""PostgreSQL broken down under load, and connections cut at random: the runs complete, nothing lost or doubled.

Every process lives on: a database that is away is a fault that passes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from tests.soak.fleet import Entry, Fleet, fleet
from tests.soak.mail import mail_server, mail_settings
from tests.soak.proof import Proof
from tests.support.postgres import PostgresServer

Say = Callable[[str], None]

LEASE_SECONDS: Final = 2.0
WORKERS: Final = 2
RUNS: Final = 3
INPUTS: Final = 6_000
CUTS_BETWEEN_RESTARTS: Final = 25
_PAUSE_SECONDS: Final = (0.01, 0.15)
_PATIENCE_SECONDS: Final = 180.0
_CUT: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = %s AND pid <> pg_backend_pid() AND application_name LIKE 'batchwright %%'
    ORDER BY random() LIMIT 1"""


@dataclass(slots=True)
class Found:
    """What was done to the server, and what came of it."""

    restarts: int = 0
    cuts: int = 0
    runs: int = 0
    retried_scopes: int = 0
    taken_over: int = 0
    lost: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.restarts} restarts, {self.cuts} connections cut; {self.runs} runs, {self.retried_scopes} scopes"
            f" tried again, {len(self.lost)} runs lost by their process and {self.taken_over} taken over;"
            f" {len(self.faults)} faults"
        )


def compare(
    url: str,
    server: PostgresServer,
    folder: Path,
    *,
    restarts: int,
    seed: int,
    say: Say,
    inputs: int = INPUTS,
    cuts_between: int = CUTS_BETWEEN_RESTARTS,
) -> Found:
    """Fill the empty database, and break the server down so many times while runs are driven."""
    chance, found = Random(f"{seed}/outages"), Found()
    with mail_server() as smtp:
        proof = Proof(url, smtp, chance, runs=RUNS, inputs=inputs)
        settings = {
            **mail_settings(smtp),
            "BATCHWRIGHT_EXECUTOR": "local",
            "BATCHWRIGHT_LEASE_SECONDS": str(LEASE_SECONDS),
        }
        with fleet(folder, url, workers=WORKERS, settings=settings) as workers:
            workers.ready()
            while found.restarts < restarts and not found.faults:
                _Storm(proof, workers, server, chance, found, cuts_between).blow(restarts)
                say(str(found))
            workers.drain()
            found.faults += workers.faults
        proof.close()
    return found


@dataclass(slots=True)
class _Storm:
    """One set of runs, disturbed from their submit until they are over."""

    proof: Proof
    fleet: Fleet
    server: PostgresServer
    chance: Random
    found: Found
    cuts_between: int
    heard: list[Entry] = field(default_factory=list)

    def blow(self, restarts: int) -> None:
        self.proof.begin_again()
        run_ids = self.proof.submit(lambda run_id: None)
        name = str(make_url(self.proof.database.url).database)
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self._over(run_ids):
            if time.monotonic() > until:
                self.found.faults.append(f"{run_ids} not over after {_PATIENCE_SECONDS:g} s")
                return
            self.fleet.tend()
            if self._at_work(run_ids) and self.found.restarts < restarts:
                self._disturb(name)
            time.sleep(self.chance.uniform(*_PAUSE_SECONDS))
        events = Counter(one.event for one in self.heard)
        self.found.runs += len(run_ids)
        self.found.retried_scopes += events["ScopeRetried"]
        self.found.taken_over += events["RunTakenOver"]
        self.found.lost += [str(one.more["reason"]) for one in self.heard if one.event == "RunLost"]
        self.found.faults += self.proof.faults(run_ids, self.heard, [])

    def _disturb(self, name: str) -> None:
        if self.chance.random() < 1 / self.cuts_between:
            self.server.restart()
            self.found.restarts += 1
            return
        with self.server.connect() as connection:
            self.found.cuts += len(connection.execute(_CUT, (name,)).fetchall())

    def _at_work(self, run_ids: list[str]) -> bool:
        self.heard += self.fleet.hear()
        ended = {one.run_id for one in self.heard if one.event == "RunEnded"}
        return not ended.issuperset(run_ids)

    def _over(self, run_ids: list[str]) -> bool:
        try:
            return self.proof.is_over(run_ids)
        except DBAPIError:
            return False  # it was our connection that was cut
