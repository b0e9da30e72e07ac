"""A case on a database, measured: interleaved pairs of a draft rating and its floor."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from batchwright.engine.store.database import Database
from bench.company import Company, fill, settle
from tests.support.postgres import postgres_server

# Commits reach the disk as in production (the helper's `fsync=True`); the rest is what a server of this size has.
POSTGRES: Final = {
    "synchronous_commit": "on",
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
}
_ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Pair:
    """One draft rating beside one floor of the same rows. Times in seconds, memory in bytes."""

    rating_seconds: float
    floor_seconds: float
    mail_seconds: float
    rating_peak: int
    floor_peak: int

    @property
    def ratio(self) -> float:
        """1 = as fast as the floor."""
        return self.floor_seconds / self.rating_seconds


@dataclass(frozen=True)
class Result:
    """All pairs of a case."""

    database: str
    company: Company
    pairs: tuple[Pair, ...]

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return median(pair.ratio for pair in self.pairs)

    @property
    def records_per_second(self) -> float:
        return self.company.inputs / median(pair.rating_seconds for pair in self.pairs)

    @property
    def floor_per_second(self) -> float:
        return self.company.inputs / median(pair.floor_seconds for pair in self.pairs)

    @property
    def mail_seconds(self) -> float:
        return median(pair.mail_seconds for pair in self.pairs)

    @property
    def peak(self) -> int:
        """The highest peak of any rating, bytes."""
        return max(pair.rating_peak for pair in self.pairs)

    @property
    def seconds_per_record(self) -> float:
        return median(pair.rating_seconds for pair in self.pairs) / self.company.inputs


@contextmanager
def databases(name: str) -> Iterator[Callable[[], str]]:
    """A maker of URLs of new, empty databases, which are gone after the block."""
    number = 0
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="batchwright-bench-") as folder:

            def sqlite_url() -> str:
                nonlocal number
                number += 1
                return f"sqlite:///{folder}/bench{number}.db"

            yield sqlite_url
        return
    with postgres_server(fsync=True, settings=POSTGRES) as server:

        def postgres_url() -> str:
            nonlocal number
            number += 1
            return server.create_database(f"bench{number}")

        yield postgres_url


def measure(
    name: str, url: str, company: Company, scope_size: int, pairs: int, say: Callable[[str], None]
) -> Result:
    """Fill the empty database at `url` and measure `pairs` pairs on it.

    A draft overwrites the values of the one before and so does the floor, so one database serves for all; which of
    the two goes first changes from pair to pair.
    """
    database = Database(url)
    say(f"{name}: writing {company.inputs:,} inputs on {company.assets:,} assets")
    fill(database, company)
    done = []
    for number in range(1, pairs + 1):
        order = ("floor", "rate") if number % 2 else ("rate", "floor")
        figures = {}
        for work in order:
            figures[work] = in_process(work, url, company, scope_size)
            settle(database)
        done.append(_pair(figures["rate"], figures["floor"]))
        say(
            f"{name}: {company.inputs:,} inputs, pair {number} of {pairs}: rated in {done[-1].rating_seconds:.1f} s, "
            f"floor {done[-1].floor_seconds:.1f} s, ratio {done[-1].ratio:.2f}"
        )
    database.close()
    return Result(name, company, tuple(done))


def in_process(work: str, url: str, company: Company, scope_size: int) -> dict[str, Any]:
    """The figures of `rate` or `floor` on a filled database, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="batchwright-bench-mail-") as folder:
        arguments = [url, str(company.inputs), str(company.inputs_per_asset), str(scope_size), folder]
        done = subprocess.run(
            [sys.executable, "-m", "bench.worker", work, *arguments],
            cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if figures["records"] != company.inputs:
        raise SystemExit(f"{work} saw {figures['records']:,} of {company.inputs:,} inputs")
    return figures


def _pair(rating: dict[str, Any], floor: dict[str, Any]) -> Pair:
    return Pair(
        rating["seconds"], floor["seconds"], rating["mail_seconds"], rating["peak_bytes"], floor["peak_bytes"]
    )
