"""`make soak`, or `python -m tests.soak`: the long tests, on both databases. Ends with 1 when something was wrong."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory

from tests.soak import crash, fuzz, rivals
from tests.support.postgres import postgres_server

NewUrl = Callable[[], str]


def main() -> None:
    given = _arguments()
    print(f"seed {given.seed}: to repeat this, python -m tests.soak --seed {given.seed}", flush=True)
    kinds = ("sqlite", "postgresql") if given.database == "both" else (given.database,)
    faults = []
    for kind in kinds:
        with _databases(kind) as new_url:
            for name, soak in _SOAKS.items():
                if given.only in (None, name):
                    faults += _timed(f"{name} on {kind}", partial(soak, kind, new_url, given))
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


def _timed(title: str, soak: Callable[[], list[str]]) -> list[str]:
    print(f"== {title}", flush=True)
    started = time.monotonic()
    faults = soak()
    print(f"== {title}: {len(faults)} faults in {time.monotonic() - started:.0f} s", flush=True)
    return [f"{title}: {fault}" for fault in faults]


def _crash(_kind: str, new_url: NewUrl, given: argparse.Namespace) -> list[str]:
    return crash.compare(
        new_url(),
        new_url(),
        inputs=given.inputs,
        kills=given.kills,
        scope_size=given.scope,
        seed=given.seed,
        say=_say,
    )


def _rivals(kind: str, new_url: NewUrl, given: argparse.Namespace) -> list[str]:
    if kind == "sqlite":
        _say("not on SQLite: it has one writer at a time")
        return []
    return rivals.compare(new_url(), seeds=range(given.seed, given.seed + given.races), say=_say)


def _fuzz(_kind: str, new_url: NewUrl, given: argparse.Namespace) -> list[str]:
    return fuzz.compare(new_url(), cases=given.files, seed=given.seed, say=_say)


_SOAKS = {"crash": _crash, "rivals": _rivals, "fuzz": _fuzz}


@contextmanager
def _databases(kind: str) -> Iterator[NewUrl]:
    """A maker of URLs of new, empty databases; commits reach the disk as in production."""
    numbers = iter(range(1, 1_000))
    if kind == "sqlite":
        with TemporaryDirectory(prefix="batchwright-soak-") as folder:
            yield lambda: f"sqlite:///{folder}/soak{next(numbers)}.db"
        return
    with postgres_server(fsync=True) as server:
        yield lambda: server.create_database(f"soak{next(numbers)}")


def _say(text: str) -> None:
    print(f"   {text}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        epilog="Example: python -m tests.soak --only crash --kills 5 --inputs 2000",
    )
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="of every random choice"
    )
    parser.add_argument("--only", choices=tuple(_SOAKS))
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--inputs", type=int, default=100_000, help="crash: inputs of the run (100,000)")
    parser.add_argument("--kills", type=int, default=20, help="crash: times it is killed (20)")
    parser.add_argument("--scope", type=int, default=500, help="crash: inputs in a scope (500)")
    parser.add_argument("--races", type=int, default=100, help="rivals: seeds (100)")
    parser.add_argument("--files", type=int, default=10_000, help="fuzz: damaged files (10,000)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
