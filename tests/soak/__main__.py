"""`make soak`, or `python -m tests.soak`: the long tests, on both databases. Ends with 1 when something was wrong."""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from tests.soak import (
    callers,
    campaign,
    clock,
    cluster,
    crash,
    disk,
    fairness,
    fuzz,
    machine,
    melee,
    outages,
    recalculation,
    rivals,
    schedules,
    slots,
    stops,
    versions,
)
from tests.soak.kills import CELLS
from tests.support.postgres import OwnServer, PostgresServer, postgres_server

KINDS = ("sqlite", "postgresql")

Soak = Callable[["Ground", argparse.Namespace], list[str]]


class Ground:
    """Where a soak takes place: new databases of one kind, and new folders; commits reach the disk as in production."""

    def __init__(self, kind: str, folder: Path, server: PostgresServer | None) -> None:
        self.kind = kind
        self.server = server
        self._folder = folder
        self._numbers = iter(range(1, 1_000))

    def url(self) -> str:
        """The URL of a new, empty database."""
        if self.server is not None:
            return self.server.create_database(f"soak{next(self._numbers)}")
        return f"sqlite:///{self._folder}/soak{next(self._numbers)}.db"

    def folder(self) -> Path:
        """A new folder."""
        folder = self._folder / f"folder{next(self._numbers)}"
        folder.mkdir()
        return folder


def main() -> None:
    given = _arguments()
    print(f"seed {given.seed}: to repeat this, python -m tests.soak --seed {given.seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leaves no process behind
    # What the soaks provoke is warned of; only what nobody meant is of interest.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    faults = []
    for kind in KINDS:
        wanted = [name for name, (_, kinds) in _SOAKS.items() if kind in kinds and given.only in (None, name)]
        if wanted and given.database in ("both", kind):
            with _ground(kind) as ground:
                for name in wanted:
                    faults += _timed(f"{name} on {kind}", partial(_SOAKS[name][0], ground, given))
    if given.only in (None, "kills"):
        faults += _timed("kills", partial(_kills, given))
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


def _timed(title: str, soak: Callable[[], list[str]]) -> list[str]:
    print(f"== {title}", flush=True)
    started = time.monotonic()
    faults = soak()
    print(f"== {title}: {len(faults)} faults in {time.monotonic() - started:.0f} s", flush=True)
    return [f"{title}: {fault}" for fault in faults]


def _crash(ground: Ground, given: argparse.Namespace) -> list[str]:
    return crash.compare(
        ground.url(),
        ground.url(),
        inputs=given.inputs,
        kills=given.crashes,
        scope_size=given.scope,
        seed=given.seed,
        say=_say,
    )


def _recalculation(ground: Ground, given: argparse.Namespace, applied: bool = False) -> list[str]:
    found = recalculation.compare(
        ground.url(),
        ground.url(),
        inputs=given.inputs,
        kills=given.recalculation_kills,
        scope_size=given.scope,
        seed=given.seed,
        say=_say,
        applied=applied,
    )
    return found.faults


def _applying(ground: Ground, given: argparse.Namespace) -> list[str]:
    return _recalculation(ground, given, applied=True)


def _rivals(ground: Ground, given: argparse.Namespace) -> list[str]:
    return rivals.compare(ground.url(), seeds=range(given.seed, given.seed + given.races), say=_say)


def _melee(ground: Ground, given: argparse.Namespace) -> list[str]:
    seeds = range(given.seed, given.seed + given.races)
    return melee.compare(ground.url(), ground.folder(), seeds=seeds, inputs=given.usage, say=_say)


def _machine(ground: Ground, given: argparse.Namespace) -> list[str]:
    folder = ground.folder()
    return machine.compare(
        ground.url(), folder, steps=given.steps, inputs=given.usage, seed=given.seed, say=_say
    )


def _fuzz(ground: Ground, given: argparse.Namespace) -> list[str]:
    return fuzz.compare(ground.url(), cases=given.files, seed=given.seed, say=_say)


def _stops(ground: Ground, given: argparse.Namespace) -> list[str]:
    found = stops.compare(ground.url(), ground.folder(), stops=given.stops, seed=given.seed, say=_say)
    return found.faults


def _outages(ground: Ground, given: argparse.Namespace) -> list[str]:
    assert ground.server is not None
    restarts, seed = given.restarts, given.seed
    found = outages.compare(
        ground.url(), ground.server, ground.folder(), restarts=restarts, seed=seed, say=_say
    )
    for reason in sorted(set(found.lost)):
        _say(f"lost: {reason}")
    return found.faults


def _disk(ground: Ground, given: argparse.Namespace) -> list[str]:
    server = ground.server
    if server is not None and not isinstance(server, OwnServer):
        return ["not run: a full disk needs a server of our own. Unset TEST_DATABASE_URL."]
    faults = []
    for place in disk.PLACES:
        try:
            found = disk.compare(place, ground.folder(), server, seed=given.seed, say=_say)
        except disk.CannotMount as error:
            return [f"not run: mounting a small file system needs root, here: {error}"]
        faults += found.faults
    return faults


def _fairness(ground: Ground, given: argparse.Namespace) -> list[str]:
    found = fairness.compare(ground.url(), ground.folder(), commits=given.commits, say=_say)
    _say(str(found))
    return found.faults


def _slots(ground: Ground, given: argparse.Namespace) -> list[str]:
    found = slots.compare(ground.url(), ground.folder(), runs=given.runs, others=10)
    _say(str(found))
    return found.faults


def _cluster(ground: Ground, given: argparse.Namespace) -> list[str]:
    found = cluster.compare(ground.url(), inputs=given.records, say=_say)
    _say(str(found))
    return found.faults


def _schedules(ground: Ground, given: argparse.Namespace) -> list[str]:
    seconds, seed = given.seconds, given.seed
    found = schedules.kill_by_turns(ground.url(), ground.folder(), seconds=seconds, seed=seed, say=_say)
    faults = found.faults
    for workers in (1, 5):
        number = given.schedules
        found = schedules.all_at_once(
            ground.url(), ground.folder(), schedules=number, workers=workers, say=_say
        )
        faults += found.faults
    return faults


def _versions(ground: Ground, given: argparse.Namespace) -> list[str]:
    between = given.seconds_between
    found = versions.compare(ground.url(), ground.folder(), runs=200, seconds_between=between)
    _say(str(found))
    return found.faults


def _clock(_ground: Ground, given: argparse.Namespace) -> list[str]:
    return clock.compare(seed=given.seed, zones=given.zones, say=_say)


def _callers(ground: Ground, given: argparse.Namespace) -> list[str]:
    examples, seed = given.examples, given.seed
    return callers.compare(ground.url(), ground.folder(), examples=examples, seed=seed, say=_say)


_SOAKS: dict[str, tuple[Soak, tuple[str, ...]]] = {
    "crash": (_crash, KINDS),
    "recalculation": (_recalculation, KINDS),
    "applying": (_applying, KINDS),
    "rivals": (_rivals, ("postgresql",)),  # SQLite has one writer at a time
    "melee": (_melee, KINDS),
    "machine": (_machine, KINDS),
    "fuzz": (_fuzz, KINDS),
    "callers": (_callers, KINDS),
    "stops": (_stops, KINDS),
    "slots": (_slots, KINDS),
    "fairness": (_fairness, ("sqlite",)),  # PostgreSQL has more than one writer at a time
    "outages": (_outages, ("postgresql",)),
    "disk": (_disk, KINDS),
    "cluster": (_cluster, ("postgresql",)),  # a cluster needs a database that all can reach
    "schedules": (_schedules, KINDS),
    "versions": (_versions, KINDS),
    "clock": (_clock, ("sqlite",)),  # needs no database at all
}


def _kills(given: argparse.Namespace) -> list[str]:
    """It has its own folder and its own databases: it can be broken off and gone on with."""
    progress = campaign.Progress.of(given.folder, given.seed)
    _say(f"in {given.folder}, seed {progress.seed}, {len(progress.kills)} kills done before")
    cells = (
        [given.cell]
        if given.cell
        else [cell for cell in CELLS if given.database in cell or given.database == "both"]
    )
    faults = campaign.run(progress, cells=cells, kills_in_each=-(-given.kills // len(CELLS)), say=_say)
    lines = campaign.table(progress.kills, progress.faults)
    for line in lines:
        _say(line)
    if given.table:
        given.table.write_text("\n".join([*lines, ""]))
    return faults


@contextmanager
def _ground(kind: str) -> Iterator[Ground]:
    with TemporaryDirectory(prefix="batchwright-soak-") as folder:
        if kind == "sqlite":
            yield Ground(kind, Path(folder), None)
            return
        with postgres_server(fsync=True) as server:
            yield Ground(kind, Path(folder), server)


def _say(text: str) -> None:
    print(f"   {text}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        epilog="Example: python -m tests.soak --only kills --cell sqlite/inline --kills 1000",
    )
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="of every random choice"
    )
    parser.add_argument("--only", choices=(*_SOAKS, "kills"))
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--kills", type=int, default=1_000, help="kills: in all four cells together (1,000)")
    parser.add_argument("--cell", choices=CELLS, help="kills: this cell only, with its quarter of them")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / "batchwright-kills",
        help="kills: what was done is kept here; go on by naming the folder again (one of the system's)",
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="kills: write the table there, too")
    parser.add_argument("--stops", type=int, default=100, help="stops: on each database (100)")
    parser.add_argument("--restarts", type=int, default=20, help="outages: of the server (20)")
    parser.add_argument("--commits", type=int, default=100_000, help="fairness: of all processes (100,000)")
    parser.add_argument("--runs", type=int, default=1_000, help="slots: in the long line (1,000)")
    parser.add_argument(
        "--records", type=int, default=1_000_000, help="cluster: inputs of the run (1,000,000)"
    )
    parser.add_argument(
        "--inputs",
        type=int,
        default=100_000,
        help="crash, recalculation, applying: inputs of the run (100,000)",
    )
    parser.add_argument("--crashes", type=int, default=20, help="crash: times it is killed (20)")
    parser.add_argument(
        "--recalculation-kills", type=int, default=10, help="recalculation, applying: times it is killed (10)"
    )
    parser.add_argument(
        "--scope", type=int, default=500, help="crash, recalculation, applying: inputs in a scope (500)"
    )
    parser.add_argument("--races", type=int, default=100, help="rivals, melee: seeds (100)")
    parser.add_argument("--usage", type=int, default=10_000, help="melee, machine: inputs (10,000)")
    parser.add_argument("--steps", type=int, default=200, help="machine: acts (200)")
    parser.add_argument("--files", type=int, default=10_000, help="fuzz: damaged files (10,000)")
    parser.add_argument("--examples", type=int, default=200, help="callers: of each operation (200)")
    parser.add_argument("--seconds", type=float, default=120.0, help="schedules: of five workers (120)")
    parser.add_argument(
        "--seconds-between", type=float, default=45.0, help="versions: between two workers' deployments (45)"
    )
    parser.add_argument("--schedules", type=int, default=1_000, help="schedules: due at once (1,000)")
    parser.add_argument(
        "--zones", type=int, default=40, help="clock: zones beside its own 20, 0 for all (40)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
