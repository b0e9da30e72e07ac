"""Everything that may happen to a company, in any order: the books always balance, and nothing invoiced changes.

Import (also with `--update`), draft, rate, unrate, reset, edit, amend, invoice, price changes (also within a window)
and recalculation; hypothesis looks for an order that breaks a promise of `World.check`, and shortens it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from batchwright.engine.store.database import upgrade
from batchwright.operations.app import Application, make_application
from batchwright.testing.clock import StandingClock
from tests.jobs.world import FIRST_DAY, World
from tests.support.application import NOW, make_settings
from tests.support.rungs import depth

INPUTS, SEQUENCES, STEPS = 30, 200, 6
QUANTITIES = st.sampled_from(["0", "0.125", "3", "12.5", "25", "41", "-1"])
DAYS = st.integers(0, 185).map(lambda number: FIRST_DAY + timedelta(days=number))  # some after the end
ASSETS = st.sampled_from(["AL-0", "AL-1"])
INPUT = st.tuples(ASSETS, DAYS, QUANTITIES)
SOME = st.lists(st.integers(0, INPUTS - 1), min_size=1, max_size=12, unique=True)
CELLS = st.fixed_dictionaries(
    {},
    optional={
        "included_quantity": st.sampled_from(["", "0", "5"]),
        "minimum_amount": st.sampled_from(["", "1"]),
        "maximum_amount": st.sampled_from(["", "900"]),
    },
)
FREQUENCIES = st.sampled_from(["Monthly", "Quarterly", "Half Yearly", "Yearly"])


class Machine(RuleBasedStateMachine):
    """Plays the acts of a `World`; inputs are named by their place in order of arrival."""

    app: Application

    @initialize(inputs=st.lists(INPUT, min_size=INPUTS - 6, max_size=INPUTS - 6), billed=st.integers(0, 8))
    def begin(self, inputs: list[tuple[str, date, str]], billed: int) -> None:
        """The company; with something billed, so that usage comes late, it has a past."""
        self.world = World(self.app)
        self.world.begin(inputs)
        schedules = self.world.billing_schedule_ids()[:billed]
        if schedules:
            self.world.rate(self._ids(list(range(0, INPUTS, 2))))
        for schedule in schedules:
            self.world.set_status(schedule, "invoiced")

    @rule(inputs=st.lists(INPUT, min_size=1, max_size=3))
    def load(self, inputs: list[tuple[str, date, str]]) -> None:
        if len(self.world.inputs()) + len(inputs) <= INPUTS:
            self.world.load(inputs)

    @rule(include_rated=st.booleans())
    def forecast_everything(self, include_rated: bool) -> None:
        self.world.forecast({"include_rated": include_rated})

    @rule(asset=ASSETS, include_rated=st.booleans())
    def forecast_an_asset(self, asset: str, include_rated: bool) -> None:
        self.world.forecast({"asset_line_item_ids": [asset], "include_rated": include_rated})

    @rule(some=SOME, include_rated=st.booleans())
    def forecast_some(self, some: list[int], include_rated: bool) -> None:
        self.world.forecast({"usage_input_ids": self._ids(some), "include_rated": include_rated})

    @rule()
    def rate_everything(self) -> None:
        self.world.rate()

    @rule(some=SOME)
    def rate_some(self, some: list[int]) -> None:
        self.world.rate(self._ids(some))

    @rule(some=SOME)
    def unrate_some(self, some: list[int]) -> None:
        self.world.unrate(self._ids(some))

    @rule()
    def reset(self) -> None:
        self.world.reset()

    @rule(place=st.integers(0, INPUTS - 1), day=DAYS, quantity=QUANTITIES)
    def edit(self, place: int, day: date, quantity: str) -> None:
        self.world.edit(self._ids([place])[0], day, quantity)

    @rule(asset=ASSETS, frequency=FREQUENCIES, months=st.integers(0, 8))
    def amend(self, asset: str, frequency: str, months: int) -> None:
        end = FIRST_DAY + timedelta(days=31 * months)
        self.world.amend(asset, billing_frequency=frequency, end_date=end.isoformat())

    @rule(asset=ASSETS)
    def amend_without_a_change(self, asset: str) -> None:
        self.world.amend(asset)

    @rule(place=st.integers(0, 8), status=st.sampled_from(["pending_invoice", "invoiced", "pending_billing"]))
    def invoice(self, place: int, status: str) -> None:
        schedules = self.world.billing_schedule_ids()
        self.world.set_status(schedules[place % len(schedules)], status)

    @rule(product=st.sampled_from(["data", "plans"]), factor=st.integers(1, 3))
    def reprice(self, product: str, factor: int) -> None:
        self.world.reprice(product, factor)

    @rule(product=st.sampled_from(["data", "plans"]), factor=st.integers(1, 3), day=DAYS)
    def change_price(self, product: str, factor: int, day: date) -> None:
        self.world.change_price(product, factor, day)

    @rule(product=st.sampled_from(["data", "plans"]), cells=CELLS)
    def update_price(self, product: str, cells: dict[str, str]) -> None:
        self.world.update_price(product, cells)

    @rule(months=st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True))
    def recalculate(self, months: list[int]) -> None:
        self.world.recalculate(months)

    @invariant()
    def the_books_hold(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def _ids(self, places: list[int]) -> list[str]:
        ids = [row.usage_input_id for row in self.world.inputs()]
        return list(dict.fromkeys(ids[place % len(ids)] for place in places))


@contextmanager
def _application() -> Iterator[Application]:
    """An application whose database is in memory where the system has a file system there: no disk is waited for."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        url = f"sqlite:///{folder}/batchwright.db"
        upgrade(url)
        app = make_application(make_settings(url, Path(folder)), clock=StandingClock(NOW))
        yield app
        app.close()


@pytest.mark.timeout(600)
def test_whatever_happens_in_whatever_order_the_books_hold() -> None:
    settings = hypothesis.settings(
        max_examples=depth(20, SEQUENCES),
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with _application() as app:
        kind: Any = type("MachineOfThisTest", (Machine,), {"app": app})
        run_state_machine_as_test(kind, settings=settings)
