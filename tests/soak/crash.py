"""A run killed at random moments, each time continued by `runs resume`, ends like a run left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from batchwright.engine.store.database import Database
from bench.company import Company, fill
from tests.soak.state import Rows, differences, state_of

Say = Callable[[str], None]

LEASE_SECONDS: Final = "0.4"
BAD_EVERY: Final = 97
RUN_ID: Final = "JR-00000001"
_PATIENCE_SECONDS: Final = 600
_ENDED_WELL: Final = (0, 3)
# Kills are aimed at this first share of the scopes: a process that is not killed in time must not reach the end.
_AIMED_SHARE: Final = 0.7


def compare(
    calm_url: str, crash_url: str, *, inputs: int, kills: int, scope_size: int, seed: int, say: Say
) -> list[str]:
    """Fill two empty databases alike, rate one in peace and one under fire; what differs, a line each.

    `kills` SIGKILLs are sent: the first while the run is planned, the others at random scopes and moments.
    """
    company = Company(inputs, bad_every=BAD_EVERY)
    calm, crashed = Database(calm_url), Database(crash_url)
    for database in (calm, crashed):
        fill(database, company)
    expected = _undisturbed(calm_url, calm, scope_size)
    (figures,) = expected["figures"]
    if figures[:4] != ("Completed", inputs, inputs - inputs // BAD_EVERY, inputs // BAD_EVERY):
        raise WentWrong(f"the run left alone is not as it should be: {figures}")
    scopes = -(-inputs // scope_size)
    aims = targets(scopes, kills, Random(seed))
    sent = under_fire(crash_url, crashed, run_words(scope_size), RUN_ID, aims, say)
    found = state_of(crashed, RUN_ID)
    calm.close()
    crashed.close()
    lines = differences(expected, found)
    if sent != kills:
        lines.append(f"only {sent} of {kills} kills were sent before the run had ended")
    return lines


def targets(scopes: int, kills: int, chance: Random) -> list[tuple[int, float]]:
    """For each kill the number of done scopes it waits for, and the seconds that it waits then."""
    counts = sorted(chance.sample(range(1, int(scopes * _AIMED_SHARE)), kills - 1))
    return [(0, chance.uniform(0, 0.02)), *((count, chance.uniform(0, 0.02)) for count in counts)]


def _undisturbed(url: str, database: Database, scope_size: int) -> Rows:
    with started(url, *run_words(scope_size)) as process:
        wait_for_end(process)
    return state_of(database, RUN_ID)


def under_fire(
    url: str,
    database: Database,
    words: Sequence[str],
    run_id: str,
    targets: Sequence[tuple[int, float]],
    say: Say,
) -> int:
    """Number of kills sent; the run, which ``words`` start and which gets that id, has ended afterwards."""
    for sent, (done_scopes, seconds) in enumerate(targets):
        with started(url, *words) as process:
            reached = _wait_for_scopes(database, process, run_id, done_scopes)
            time.sleep(seconds)
            if process.poll() is not None:
                _check_exit(process)
                return sent
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        say(f"kill {sent + 1} at {reached} done scopes")
        words = ("runs", "resume", run_id)
    with started(url, *words) as process:
        wait_for_end(process)
    return len(targets)


def run_words(scope_size: int) -> tuple[str, ...]:
    return ("run", "draft-usage-rating", "--no-mail", "--scope-size", str(scope_size))


@contextmanager
def started(url: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The command line in a process group of its own, in an empty folder; nothing of it outlives the block."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BATCHWRIGHT_")},
        "BATCHWRIGHT_DATABASE_URL": url,
        "BATCHWRIGHT_LEASE_SECONDS": LEASE_SECONDS,
    }
    with TemporaryDirectory(prefix="batchwright-soak-") as folder, (Path(folder) / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", "from batchwright.cli.main import main; main()", *words],
            cwd=folder, env=environment, stdout=said, stderr=said, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        except WentWrong as error:
            said.seek(0)
            raise WentWrong(f"{error}; it said:\n{said.read()}") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class WentWrong(AssertionError):
    """The command line did not do what it should."""


def wait_for_end(process: subprocess.Popen[str]) -> None:
    process.wait(timeout=_PATIENCE_SECONDS)
    _check_exit(process)


def _check_exit(process: subprocess.Popen[str]) -> None:
    if process.returncode not in _ENDED_WELL:
        raise WentWrong(f"{process.args!r} ended with {process.returncode}")


def _wait_for_scopes(database: Database, process: subprocess.Popen[str], run_id: str, done: int) -> int:
    """Wait until this process has taken the run and so many scopes are done, or until it has ended; scopes done.

    Raises WentWrong when neither happens.
    """
    fence: int | None = None
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        seen = _look(database, run_id)
        fence = seen[0] if fence is None else fence
        taken = seen[0] > fence
        if process.poll() is not None or (taken and seen[1] >= done):
            return seen[1]
        time.sleep(0.001)
    raise WentWrong(f"{process.args!r} did not get to {done} done scopes")


def _look(database: Database, run_id: str) -> tuple[int, int]:
    """The run's fence (0 when there is no run yet) and its scopes that are done."""
    statement = text("""
        SELECT coalesce(max(run.fence), 0), count(scope.id) FROM run
        LEFT JOIN scope ON scope.run_id = run.id AND scope.state = 'done' WHERE run.run_id = :run_id""")
    try:
        with database.read() as connection:
            fence, done = connection.execute(statement, {"run_id": run_id}).one()
    except OperationalError:
        return 0, 0
    return int(fence), int(done)
