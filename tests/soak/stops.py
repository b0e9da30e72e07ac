"""Workers stopped by SIGSTOP, overtaken, and woken: on PostgreSQL they commit nothing, on SQLite the taker has ended
them. Inside a transaction of a scope, outside of one, and at any moment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP
from statistics import median
from typing import Final

from sqlalchemy import text

from batchwright.engine.store.database import Database
from tests.soak.fleet import Aim, Entry, Fleet, fleet, wait_until
from tests.soak.mail import mail_server, mail_settings
from tests.soak.probe import ANYWHERE, HEARTBEAT
from tests.soak.proof import Proof

Say = Callable[[str], None]

LEASE_SECONDS: Final = 1.0
TAKEN_WITHIN_LEASES: Final = 2.0
INPUTS: Final = 600
MOMENTS: Final = {
    "inside": "scope saved",
    "outside": "scope committed",
    "in a heartbeat": HEARTBEAT,
    "any moment": ANYWHERE,
}
_LATER_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 60.0
_WOKEN_FOR_SECONDS: Final = 0.3

# Which process committed a scope, or moved a run: written with it, so that nothing rolled back is in it.
_WATCH: Final = (
    "CREATE TABLE soak_commit (id bigserial PRIMARY KEY, run_key bigint, pid text)",
    """CREATE FUNCTION soak_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO soak_commit (run_key, pid) VALUES (
            (CASE TG_TABLE_NAME WHEN 'run' THEN to_jsonb(NEW) ->> 'id' ELSE to_jsonb(NEW) ->> 'run_id' END)::bigint,
            current_setting('soak.pid', true));
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER soak_note AFTER UPDATE ON scope FOR EACH ROW EXECUTE FUNCTION soak_note()",
    "CREATE TRIGGER soak_note AFTER UPDATE ON run FOR EACH ROW EXECUTE FUNCTION soak_note()",
)
_COMMITTED_SINCE: Final = "SELECT count(*) FROM soak_commit WHERE id > :since AND pid IN ({})"
_LAST_COMMIT: Final = "SELECT coalesce(max(id), 0) FROM soak_commit"


@dataclass(slots=True)
class Found:
    """What the stops came to; `takeovers` in seconds from the stop on."""

    stops: int = 0
    takeovers: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Stop:
    """One run whose worker is stopped, from its submit until it is over."""

    proof: Proof
    fleet: Fleet
    moment: str
    chance: Random
    heard: list[Entry] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    aims: list[Aim] = field(init=False)

    def __post_init__(self) -> None:
        skip = self.chance.randrange(40)
        if self.moment == "in a heartbeat":
            # The run stands still, so that it lasts until the next beat.
            self.aims = [Aim("scope committed", skip), Aim(HEARTBEAT)]
            return
        in_pool = not self.proof.database.is_sqlite and self.chance.random() < 0.5
        self.aims = [Aim(MOMENTS[self.moment], skip, self.moment != "any moment", in_pool)]

    def play(self) -> float | None:
        """Seconds until the run was taken over; None when it was over before its worker was stopped."""
        self.proof.begin_again()
        (run_id,) = self.proof.submit(lambda run_id: self.fleet.aim(run_id, self.aims))
        hit = self._hit(run_id)
        if hit is None:
            return None
        if self.moment == "any moment":
            time.sleep(self.chance.uniform(0, _LATER_SECONDS))
        leader = self.fleet.worker_of(hit.pid)
        assert leader is not None
        stopped = [leader, *self.fleet.pool_of(leader)]
        for pid in stopped:
            os.kill(pid, SIGSTOP)
        since = time.monotonic()
        self._release(run_id)
        if not self.proof.at_work_by(leader):
            _go_on(stopped)
            self._wait_for_end(run_id)
            return None
        taken = self._first(lambda one: one.event == "RunTakenOver" and one.run_id == run_id)
        if self.proof.database.is_sqlite:
            self._expect_killed(leader)
        else:
            self._wake(stopped, run_id)
        self._wait_for_end(run_id)
        self.faults += self.proof.faults([run_id], self.heard, [])
        return taken.time - since

    def _release(self, run_id: str) -> None:
        """Nobody is held any more, neither who was stopped, once he wakes up, nor the taker."""
        self.fleet.forget_aims()
        for number in range(len(self.aims)):
            self.fleet.release(run_id, number)

    def _wake(self, stopped: Sequence[int], run_id: str) -> None:
        """Wake them while the taker works, or when the run has ended; they commit nothing more of it."""
        if self.chance.random() < 0.5:
            self._wait_for_end(run_id)
        last = _number(self.proof.database, _LAST_COMMIT)
        _go_on(stopped)
        self._first(lambda one: one.event == "RunLost" and one.pid == stopped[0])
        time.sleep(_WOKEN_FOR_SECONDS)
        names = ", ".join(f"'{pid}'" for pid in stopped)
        commits = _number(self.proof.database, _COMMITTED_SINCE.format(names), since=last)
        if commits:
            self.faults.append(f"{run_id}: processes {stopped} committed {commits} times after they woke up")

    def _expect_killed(self, pid: int) -> None:
        self.fleet.expect_end(pid)
        wait_until(
            lambda: self.fleet.ended(pid) is not None, seconds=5, what="the end of the worker overtaken"
        )
        if self.fleet.ended(pid) != -SIGKILL:
            self.faults.append(f"the worker overtaken ended with {self.fleet.ended(pid)}")

    def _wait_for_end(self, run_id: str) -> None:
        wait_until(
            lambda: self.proof.is_over([run_id]), seconds=_PATIENCE_SECONDS, what=f"the end of {run_id}"
        )
        self.heard += self.fleet.hear()

    def _hit(self, run_id: str) -> Entry | None:
        """Where the run halted; None when it was over before."""

        last = f"{run_id}.{len(self.aims) - 1:03}"

        def reached() -> Entry | None:
            return next((one for one in self.heard if one.event == "Hit" and one.more["aim"] == last), None)

        def heard() -> bool:
            self.heard += self.fleet.hear()
            return reached() is not None or any(one.event == "RunEnded" for one in self.heard)

        wait_until(heard, seconds=_PATIENCE_SECONDS, what=f"the point of {run_id}")
        hit = reached()
        if hit is None:
            self._release(run_id)
            self._wait_for_end(run_id)
        return hit

    def _first(self, wanted: Callable[[Entry], bool]) -> Entry:
        """The first such entry, from the submit on, as soon as it is there."""

        def found() -> bool:
            self.heard += self.fleet.hear()
            return any(map(wanted, self.heard))

        wait_until(found, seconds=_PATIENCE_SECONDS, what="what the worker should have written down")
        return next(filter(wanted, self.heard))


def _go_on(stopped: Sequence[int]) -> None:
    for pid in stopped:
        os.kill(pid, SIGCONT)


def compare(url: str, folder: Path, *, stops: int, seed: int, say: Say, inputs: int = INPUTS) -> Found:
    """Fill the empty database, and stop a worker so many times, by turns at each of the moments.

    On PostgreSQL with its pool, which is stopped and woken with it.
    """
    chance = Random(f"{seed}/stops")
    found = Found()
    with mail_server() as smtp:
        proof = Proof(url, smtp, chance, runs=1, inputs=inputs)
        if not proof.database.is_sqlite:
            with proof.database.write() as connection:
                for statement in _WATCH:
                    connection.execute(text(statement))
        settings = {
            **mail_settings(smtp),
            "BATCHWRIGHT_EXECUTOR": "local",
            "BATCHWRIGHT_LEASE_SECONDS": str(LEASE_SECONDS),
        }
        with fleet(folder, url, workers=2, settings=settings) as workers:
            _stop_again_and_again(proof, workers, found, stops, chance, say)
            workers.drain()
            found.faults += workers.faults
        proof.close()
    return found


def _stop_again_and_again(
    proof: Proof, workers: Fleet, found: Found, stops: int, chance: Random, say: Say
) -> None:
    moments = list(MOMENTS)
    while found.stops < stops:
        moment = moments[found.stops % len(moments)]
        workers.ready()
        stop = _Stop(proof, workers, moment, chance)
        seconds = stop.play()
        if seconds is None:
            continue
        found.stops += 1
        found.takeovers.append(seconds)
        found.faults += stop.faults
        if seconds > TAKEN_WITHIN_LEASES * LEASE_SECONDS:
            found.faults.append(f"taken over only {seconds:.2f} s after the stop ({moment})")
        if found.stops % 10 == 0:
            say(f"{found.stops} stops, {len(found.faults)} faults; {summary(found)}")


def summary(found: Found) -> str:
    """Median and longest takeover."""
    return f"taken over after {median(found.takeovers):.2f} s in the median, {max(found.takeovers):.2f} s at most"


def _number(database: Database, statement: str, **values: int) -> int:
    with database.read() as connection:
        return int(connection.execute(text(statement), values).scalar_one())
