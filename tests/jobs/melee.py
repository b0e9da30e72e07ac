"""All acts at once over the same inputs, each in an application of its own, and what the books must say then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random
from threading import Barrier

from batchwright.engine.events import Event, ScopeRetried
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.forecast import forecast, refresh_forecast
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.previews import apply_run
from batchwright.testing.clock import StandingClock
from tests.jobs.drafting import draft
from tests.jobs.world import FIRST_DAY, MONTHS, Input, World
from tests.support.application import ACTOR, NOW, make_settings

Act = Callable[[World, Random], object]
FREQUENCIES = ("Monthly", "Quarterly", "Half Yearly")
GOOD_QUANTITIES = ("0.125", "3", "12.5", "25")


class RunningClock(StandingClock):
    """The business day stands still; pauses pass."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def some_inputs(chance: Random, count: int, assets: int) -> list[Input]:
    """Inputs that can be rated, spread over the assets and the months."""
    days = (date(2023, MONTHS + 1, 1) - FIRST_DAY).days
    return [
        (
            f"AL-{place % assets}",
            FIRST_DAY + timedelta(days=chance.randrange(days)),
            chance.choice(GOOD_QUANTITIES),
        )
        for place in range(count)
    ]


def play(world: World, folder: Path, seed: int, *, scope_size: int, rounds: int = 1) -> list[str]:
    """Do all of it at once: rate twice, draft, unrate, apply previews, recalculate, reset and so on; what went wrong.

    Afterwards what is left to rate is rated: every input is charged once then. `rounds` times as much is amended,
    invoiced and edited.
    """

    chance, faults = Random(seed), list[str]()
    world.rate([row.usage_input_id for row in world.inputs() if chance.random() < 0.5])
    acts = _acts(scope_size, rounds)
    together = Barrier(len(acts), timeout=120)
    seeds = [chance.randrange(2**32) for _ in acts]
    with ThreadPoolExecutor(len(acts)) as pool:
        futures = {
            name: pool.submit(_act, world, folder, act, Random(own), together, faults)
            for (name, act), own in zip(acts.items(), seeds, strict=True)
        }
        for name, future in futures.items():
            if (error := future.exception()) is not None:
                faults.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    return [*faults, *_aftermath(world)]


def _aftermath(world: World) -> list[str]:
    """The books as they were left, and after the rest was rated and everything forecast."""
    try:
        world.check_books()
        world.reset()
        world.rate()
        world.check_books()
        left = [row.usage_input_id for row in world.inputs() if row.status != "Rated"]
        assert not left, f"{len(left)} inputs are not charged, {left[0]} among them"
        world.drafts = {row.id: (row.draft_rated_quantity, row.draft_fee_amount) for row in world.schedules()}
        world.forecast({"include_rated": True})
        world.check()
    except AssertionError as error:
        return [str(error)[:5000] or "the books do not balance"]
    return []


def _acts(scope_size: int, rounds: int) -> dict[str, Act]:
    def run(job: str) -> Act:
        return lambda world, chance: _run(world, job, {}, scope_size + chance.randrange(scope_size))

    return {
        "rate": run("usage-rating"),
        "rate again": run("usage-rating"),
        "draft": lambda world, chance: _run(
            world, "draft-usage-rating", {"include_rated": chance.random() < 0.5}, scope_size
        ),
        "unrate": _unrate,
        "apply": _several(_apply, 4 * rounds),
        "recalculate": lambda world, chance: world.recalculate(chance.sample(range(1, MONTHS + 1), 2)),
        "look": _several(
            lambda world, chance: [refresh_forecast(world.app), forecast(world.app)], 20 * rounds
        ),
        "reset": _several(lambda world, chance: world.reset(), 5),
        "edit": _several(_edit, 20 * rounds),
        "amend": _several(_amend, 8 * rounds),
        "invoice": _several(_invoice, 6 * rounds),
        "reprice": _several(lambda world, chance: world.reprice("data", chance.randint(1, 3)), 2),
    }


def _run(world: World, job: str, parameters: dict[str, object], scope_size: int) -> None:
    run = draft(world.app, parameters, job=job, scope_size=scope_size)
    assert run["status"] == "Completed", f"{run['run_id']} ended {run['status']}: {run['error']}"
    assert not run["errored"], f"{run['errored']} inputs errored in {run['run_id']}"


def _unrate(world: World, chance: Random) -> None:
    ids = [row.usage_input_id for row in world.inputs()]
    for _ in range(2):
        world.unrate(chance.sample(ids, len(ids) // 4))


def _apply(world: World, chance: Random) -> None:
    """A preview of a few inputs, applied at once: it comes to just what it said, or to nothing of the scope."""
    ids = [row.usage_input_id for row in world.inputs()]
    job = chance.choice(["usage-rating", "usage-unrating"])
    dry = draft(world.app, {"usage_input_ids": chance.sample(ids, 6)}, job=job, mode="dry_run", scope_size=2)
    run_id = apply_run(world.app, dry["run_id"], actor=ACTOR, mail_actor=False).run_id
    run = drive_run(world.app, run_id)
    if run["status"] == "Completed":
        assert run["totals"] == dry["totals"], f"{run_id} came to {run['totals']}, not to {dry['totals']}"
    else:
        assert "preview no longer holds" in run["error"], f"{run_id} failed: {run['error']}"


def _edit(world: World, chance: Random) -> None:
    row = chance.choice(world.inputs())
    world.try_edit(row.usage_input_id, row.usage_date, chance.choice(GOOD_QUANTITIES))


def _amend(world: World, chance: Random) -> None:
    world.amend(chance.choice(world.assets), billing_frequency=chance.choice(FREQUENCIES))


def _invoice(world: World, chance: Random) -> None:
    world.set_status(chance.choice(world.billing_schedule_ids()), "invoiced")


def _several(act: Act, times: int) -> Act:
    def repeated(world: World, chance: Random) -> None:
        for _ in range(times):
            act(world, chance)
            time.sleep(chance.uniform(0, 0.02))

    return repeated


def _act(world: World, folder: Path, act: Act, chance: Random, together: Barrier, faults: list[str]) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, ScopeRetried) and "deadlock" in event.reason:
            faults.append(f"a deadlock: {event.reason}")
        time.sleep(chance.uniform(0, 0.003))

    with _application(world.app, folder, listen) as app:
        together.wait()
        act(replace(world, app=app), chance)


@contextmanager
def _application(app: Application, folder: Path, listen: Callable[[Event], None]) -> Iterator[Application]:
    """Another application on the same database, with connections of its own."""
    url = app.database.url.render_as_string(hide_password=False)
    other = make_application(make_settings(url, folder, max_active_runs=100), clock=RunningClock(NOW))
    other.events.subscribe(listen)
    try:
        yield other
    finally:
        other.close()
