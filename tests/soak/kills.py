"""SIGKILL, again and again, to real workers and to their pools; every run completes by itself, as if nothing had been.

Each round enqueues some runs over one company and kills whoever works on them: at named points, where the process
halts until the signal has come, and anywhere. A process that was killed is started again, as a supervisor would.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Final, Literal

from tests.soak.fleet import Aim, Entry, Fleet, fleet
from tests.soak.mail import mail_server, mail_settings
from tests.soak.probe import ANYWHERE, TRIAL
from tests.soak.proof import Death, Proof

Say = Callable[[str], None]
Victim = Literal["worker", "pool process", "both"]

CELLS: Final = ("sqlite/inline", "sqlite/local", "postgresql/inline", "postgresql/local")
POOLED: Final = "postgresql/local"
"""On SQLite, which has one writer at a time, `local` executes in line."""

LEASE_SECONDS: Final = 1.0
WORKERS: Final = 3
WORKERS_WITH_POOLS: Final = 2
RUNS: Final = 3
INPUTS: Final = (1_200, 2_400)
INPUTS_FOR_POOLS: Final = (3_000, 4_500)
"""A pool takes its time to start; scopes go on in line until it is there."""
KILLS_PER_COMPANY: Final = 60
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "planning": ("claimed", "plan committed", "planned"),
    "scope": ("scope read", "scope executed", "scope saved", "scope committed"),
    "trial": (TRIAL,),
    "finish": ("finish called", "finish saved", "ended"),
    "mail": ("mail claimed", "mail accepted", "mail marked"),
    "anywhere": (ANYWHERE,),
}
"""Where kills are aimed at; each place gets as many."""
_SKIP: Final = {"scope": 30, "trial": 3, "anywhere": 150}
_LATER_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 60.0
_AIMS_OF_A_RUN: Final = (3, 6)
_IN_POOL: Final = 0.8


@dataclass(frozen=True, slots=True)
class Kill:
    """A SIGKILL that ended a process at work. `takeovers` are seconds until the runs it had owned were taken over.

    Only those count that a worker took who was there when the other one died: the rest waited for one to be started.
    """

    cell: str
    place: str
    point: str
    victim: Victim
    takeovers: tuple[float, ...]


@dataclass(slots=True)
class Found:
    """What a part of the soak came to."""

    kills: list[Kill] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Round:
    """One set of runs, from their submit until they are over."""

    cell: str
    proof: Proof
    fleet: Fleet
    chance: Random
    pooled: bool
    run_ids: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    heard: list[Entry] = field(default_factory=list)
    waiting: list[tuple[float, Entry]] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    killed: list[tuple[Entry, Victim, Death, list[str]]] = field(default_factory=list)

    def play(self, places: Sequence[str]) -> Found:
        """Submit, kill, wait, compare. The kills are aimed at `places`, as far as the runs get there."""
        self.proof.begin_again()
        hits_before = self.fleet.hits()
        shares = [list(places[number :: self.proof.runs]) for number in range(self.proof.runs)]
        self.run_ids = self.proof.submit(lambda run_id: self._aim(run_id, shares.pop()))
        progress = looked = time.monotonic()
        over = False
        while not over:
            self.fleet.tend()
            progress = time.monotonic() if self._listen() else progress
            self._kill_who_is_due()
            now = time.monotonic()
            if now - progress > _PATIENCE_SECONDS:
                return self._stuck()
            if now - looked > 0.1:
                looked = now
                over = self.proof.is_over(self.run_ids)
            time.sleep(0.002)
        self.fleet.forget_aims()
        while self.waiting or sum(one.event == "Hit" for one in self.heard) < self.fleet.hits() - hits_before:
            self._listen()
            self._kill_who_is_due()
        faults = self.proof.faults(self.run_ids, self.heard, self.deaths)
        faults += self._taken_from_the_living()
        return Found(
            [self._kill_of(*one) for one in self.killed], [f"{self.cell}: {line}" for line in faults]
        )

    def _aim(self, run_id: str, places: Sequence[str]) -> None:
        aims = []
        for number, place in enumerate(places):
            skip = self.chance.randrange(_SKIP.get(place, 1))
            in_pool = self.pooled and place in ("scope", "trial") and self.chance.random() < _IN_POOL
            aims.append(Aim(self.chance.choice(PLACES[place]), skip, place != "anywhere", in_pool))
            self.places[f"{run_id}.{number:03}"] = place
        self.fleet.aim(run_id, aims)

    def _listen(self) -> bool:
        """Whether there was anything to hear."""
        new = self.fleet.hear()
        self.heard += new
        for hit in (one for one in new if one.event == "Hit"):
            anywhere = self.places[hit.more["aim"]] == "anywhere"
            self.waiting.append((hit.time + self.chance.uniform(0, _LATER_SECONDS) * anywhere, hit))
        return bool(new)

    def _kill_who_is_due(self) -> None:
        now = time.monotonic()
        due = [hit for at, hit in self.waiting if at <= now]
        self.waiting = [(at, hit) for at, hit in self.waiting if at > now]
        for hit in due:
            leader = self.fleet.worker_of(hit.pid)
            if leader is None:
                continue  # it died with another
            victim = self._victim(in_pool=leader != hit.pid)
            pid = hit.pid if victim == "pool process" else leader
            if not self.fleet.kill(pid):
                continue
            if victim == "both":
                for other in self.fleet.pool_of(leader):
                    with suppress(ProcessLookupError):
                        os.kill(other, SIGKILL)
            death = Death(pid, time.monotonic())
            self.deaths.append(death)
            owned = [] if victim == "pool process" else self.proof.at_work_by(leader)
            self.killed.append((hit, victim, death, owned))
            if victim == "worker" and self.chance.random() < 0.5:
                # A pool process whose worker died has to end, standing or going.
                self.fleet.release(str(hit.run_id), int(hit.more["aim"].rpartition(".")[2]))

    def _victim(self, *, in_pool: bool) -> Victim:
        if in_pool:
            return self.chance.choices(("pool process", "worker", "both"), (5, 3, 2))[0]
        return self.chance.choices(("worker", "both"), (8, 2))[0]

    def _kill_of(self, hit: Entry, victim: Victim, death: Death, owned: Sequence[str]) -> Kill:
        loaded = {one.pid: one.time for one in self.heard if one.event == "Loaded"}
        takeovers = []
        for run_id in owned:
            later = (
                one
                for one in self.heard
                if one.event == "RunTakenOver" and one.run_id == run_id and one.time > death.time
            )
            taken = next(later, None)
            # One that was loaded before this round is not in the list: it was there.
            if taken is not None and loaded.get(taken.pid, 0.0) < death.time:
                takeovers.append(taken.time - death.time)
        place = self.places[hit.more["aim"]]
        return Kill(self.cell, place, str(hit.point), victim, tuple(takeovers))

    def _taken_from_the_living(self) -> Iterator[str]:
        dead = {death.pid: death.time for death in self.deaths}
        for one in self.heard:
            if one.event == "RunTakenOver":
                owner = str(one.more["from_owner"])
                pid = owner.rpartition("/")[2]
                if not pid.isdigit() or dead.get(int(pid), one.time) >= one.time:
                    yield f"{one.run_id} was taken from {owner}, whom nobody had killed"

    def _stuck(self) -> Found:
        """A round that does not end. The processes are of no use any more."""
        last = [f"{one.event} {one.run_id} {one.point} by {one.pid}" for one in self.heard[-8:]]
        line = f"{self.cell}: {self.run_ids} not over, and nothing has happened for {_PATIENCE_SECONDS:g} s: {last}"
        return Found([self._kill_of(*one) for one in self.killed], [line])


def soak(
    cell: str,
    url: str,
    folder: Path,
    *,
    wanted: Mapping[str, int],
    chance: Random,
    say: Say,
    runs: int = RUNS,
    workers: int | None = None,
    inputs: int | None = None,
) -> Iterator[Found]:
    """Rounds over one company until so many kills of each place were sent; what each came to, as it ends."""
    left = dict(wanted)
    with mail_server() as smtp:
        pooled = cell == POOLED
        inputs = inputs or chance.randrange(*(INPUTS_FOR_POOLS if pooled else INPUTS))
        proof = Proof(url, smtp, chance, runs=runs, inputs=inputs)
        settings = {
            **mail_settings(smtp),
            "BATCHWRIGHT_EXECUTOR": cell.partition("/")[2],
            "BATCHWRIGHT_LEASE_SECONDS": str(LEASE_SECONDS),
        }
        with fleet(
            folder, url, workers=workers or (WORKERS_WITH_POOLS if pooled else WORKERS), settings=settings
        ) as ours:
            ours.ready()
            while any(left.values()):
                began = time.monotonic()
                found = _Round(cell, proof, ours, chance, pooled).play(_drawn(left, runs, chance))
                for kill in found.kills:
                    left[kill.place] = max(0, left[kill.place] - 1)
                seconds = time.monotonic() - began
                say(f"{cell}: {len(found.kills)} kills in {seconds:.1f} s, {len(found.faults)} faults")
                yield found
                if any("not over" in fault for fault in found.faults):
                    return
            ours.drain()
            faults = [f"{cell}: {fault}" for fault in ours.faults]
            if orphans := ours.orphans():
                faults.append(f"{cell}: processes {orphans} outlived their worker")
            yield Found([], faults)
        proof.close()


def _drawn(left: Mapping[str, int], runs: int, chance: Random) -> list[str]:
    """Places for the kills of one round, by what is still to be done at each."""
    bag = [place for place, number in left.items() for _ in range(number)]
    chance.shuffle(bag)
    return bag[: sum(chance.randint(*_AIMS_OF_A_RUN) for _ in range(runs))]
