"""Two draft runs over the same assets at once: the schedules of each asset are those of one of them, never a mix.

A draft overwrites the schedules that its inputs fall into and leaves the others. So the two runs are given
different inputs of the same schedules, and what stands at the end must be, asset by asset, what one of them writes
when it is alone.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import Any, Final

from sqlalchemy import text

from batchwright.config.settings import MailSettings, Settings
from batchwright.engine.events import Event, ScopeRetried
from batchwright.engine.run import Run
from batchwright.engine.store.database import Database
from batchwright.engine.submit import Request, submit
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
from batchwright.operations.app import Application, make_application
from bench.company import Company, fill

Say = Callable[[str], None]
Schedules = Mapping[int, tuple[tuple[Any, ...], ...]]
Ids = Sequence[str]

COMPANY: Final = Company(1_200, inputs_per_asset=40)
_LONGEST_PAUSE: Final = 0.004
_INPUTS_BY_SCHEDULE: Final = """
    SELECT s.id, i.usage_input_id FROM usage_input i JOIN usage_schedule s
    ON s.asset_key = i.asset_key AND i.usage_date BETWEEN s.period_start_date AND s.period_end_date ORDER BY i.id"""
_SCHEDULES: Final = """
    SELECT asset_key, id, draft_rated_quantity, draft_fee_amount FROM usage_schedule ORDER BY asset_key, id"""
_AMOUNTS: Final = "SELECT usage_input_id, draft_rated_amount FROM usage_input ORDER BY id"


def compare(url: str, *, seeds: Sequence[int], say: Say) -> list[str]:
    """Fill the empty database and let two runs race once for each seed; what went wrong, a line each."""
    database = Database(url)
    fill(database, COMPANY)
    lines: list[str] = []
    for seed in seeds:
        found = _race(url, database, Random(seed))
        lines.extend(f"seed {seed}: {line}" for line in found)
        say(f"seed {seed}: {len(found)} faults")
    database.close()
    return lines


def _race(url: str, database: Database, chance: Random) -> list[str]:
    shares = _two_shares(database, chance)
    alone = []
    for share in shares:
        run, _ = _draft(url, share, 100, 0)
        alone.append((_schedules(database), _amounts(database, share), run.totals))
    sizes = [chance.randint(40, 300) for _ in shares]
    together = Barrier(len(shares))
    with ThreadPoolExecutor(len(shares)) as pool:
        futures = [
            pool.submit(_draft, url, share, size, chance.randrange(2**32), together)
            for share, size in zip(shares, sizes, strict=True)
        ]
        ended = [future.result() for future in futures]
    lines = []
    for share, (run, retries), (_, amounts, totals) in zip(shares, ended, alone, strict=True):
        if run.state != "Completed" or run.totals != totals:
            lines.append(f"{run.run_id} ended {run.state} with {run.totals}, alone {totals}: {run.error}")
        if _amounts(database, share) != amounts:
            lines.append(f"{run.run_id}: its inputs have other amounts than when it ran alone")
        lines.extend(f"{run.run_id}: {retry}" for retry in retries if "deadlock" in retry)
    found = _schedules(database)
    first, second = alone[0][0], alone[1][0]
    lines.extend(
        f"asset {asset}: its schedules are a mix"
        for asset, rows in found.items()
        if rows not in (first[asset], second[asset])
    )
    return lines


def _two_shares(database: Database, chance: Random) -> tuple[Ids, Ids]:
    """Ids for the one and the other run: of every schedule that has two inputs or more, some for each."""
    by_schedule: dict[int, list[str]] = defaultdict(list)
    with database.read() as connection:
        for schedule, usage_input_id in connection.execute(text(_INPUTS_BY_SCHEDULE)):
            by_schedule[schedule].append(usage_input_id)
    first: list[str] = []
    second: list[str] = []
    for ids in by_schedule.values():
        if len(ids) < 2:
            continue
        chance.shuffle(ids)
        cut = chance.randrange(1, len(ids))
        first.extend(ids[:cut])
        second.extend(ids[cut:])
    return first, second


def _draft(
    url: str, ids: Ids, scope_size: int, seed: int, start: Barrier | None = None
) -> tuple[Run, list[str]]:
    """Rate these inputs in an application of its own; the run, and why scopes were tried again.

    With `start` it waits for the others, and pauses at random between scopes.
    """
    app = _application(url)
    retries: list[str] = []
    chance = Random(seed)

    def listen(event: Event) -> None:
        if isinstance(event, ScopeRetried):
            retries.append(event.reason)
        if start is not None:
            time.sleep(chance.uniform(0, _LONGEST_PAUSE))

    app.events.subscribe(listen)
    with app.database.write() as connection:
        job = DraftUsageRatingJob(usage_input_ids=list(ids))
        request = Request(actor="soak", scope_size=scope_size, mail_actor=False)
        run = submit(connection, job, request, app.clock.now())
    if start is not None:
        start.wait()
    run = app.dispatcher.drive(run.id)
    app.close()
    return run, retries


def _application(url: str) -> Application:
    return make_application(Settings(database_url=url, mail=MailSettings()))


def _schedules(database: Database) -> Schedules:
    by_asset: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    with database.read() as connection:
        for asset, *rest in connection.execute(text(_SCHEDULES)):
            by_asset[asset].append(tuple(rest))
    return {asset: tuple(rows) for asset, rows in by_asset.items()}


def _amounts(database: Database, ids: Ids) -> list[tuple[Any, ...]]:
    wanted = set(ids)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(text(_AMOUNTS)) if row[0] in wanted]
