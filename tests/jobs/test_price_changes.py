"""Prices that change within a window: random walks of acts, after each of which every amount is what fractions say.

Inputs go wrong and are edited, too, and prices and contracts are updated by files that name some of their columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from itertools import count
from random import Random
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.amendments import amend_asset_line_item
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.explanations import explain_usage_input
from batchwright.operations.billing.usage_inputs import edit_usage_input, reset_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.looking import show_run
from batchwright.operations.views import View
from tests.jobs.company import Company
from tests.jobs.conftest import Open, Write
from tests.jobs.drafting import amounts, draft, empty, statuses
from tests.jobs.fractions import DIGITS, Rule, decimal_of, minor_units, random_rule, write_price
from tests.jobs.rating import assert_books_balance, invoice, rate, rated, stored, unrate
from tests.jobs.recalculating import Contracted, recalculate, recalculate_beside
from tests.jobs.updates import update, updated_rule
from tests.support.application import ACTOR
from tests.support.rungs import depth

FREQUENCIES = {1: "Monthly", 3: "Quarterly", 6: "Half Yearly"}
STEPS = 12

Price = tuple[date, str]
"""What a window counts for: the first day of a price, and its model; unit and package size are the same here."""


class Charge(NamedTuple):
    """What an input comes to, in minor units, and what that rests on."""

    amount: int
    price: Price
    rule: Rule
    discount: Fraction
    prior: Fraction
    first: bool


@dataclass
class Used:
    """An input; `charge` while it is Rated, and its `place` among all that were; `error_by` while it is in Error.

    `start` is what its window used before it by now: of what is invoiced it may be less than it was charged with.
    """

    name: str
    day: date
    quantity: Fraction
    charge: Charge | None = None
    place: int = 0
    start: Fraction = Fraction(0)
    billed: bool = False
    error_by: str | None = None

    @property
    def amount(self) -> int | None:
        return self.charge and self.charge.amount

    @property
    def price(self) -> Price | None:
        return self.charge and self.charge.price

    @property
    def bad(self) -> bool:
        return self.quantity < 0

    @property
    def status(self) -> tuple[str, str | None]:
        """With its code."""
        if self.error_by is None:
            return ("Loaded" if self.amount is None else "Rated"), None
        return "Error", "unrated" if self.error_by == "unrating" else "negative_quantity"


@dataclass
class Walk:
    """An asset whose prices change, what was done to it, and what its inputs come to."""

    app: Application
    chance: Random
    currency: str = "USD"
    months: int = 1
    discount: Fraction = Fraction(0)
    rules: dict[date, Rule] = field(default_factory=dict)
    revisions: dict[date, int] = field(default_factory=dict)
    inputs: dict[str, Used] = field(default_factory=dict)
    imported: dict[int, Fraction] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    places: Iterator[int] = field(default_factory=count)

    def begin(self) -> None:
        """A contract with a book of one price, and an asset of six months, some taken over with a quantity."""
        chance = self.chance
        empty(self.app)
        self.currency, self.months = chance.choice(list(DIGITS)), chance.choice(list(FREQUENCIES))
        self.discount = Fraction(chance.choice((0, 0, 15)), 2)
        if chance.random() < 0.3:
            self.imported[chance.randint(1, 6)] = Fraction(chance.randint(1, 80), 8)
        with self.app.database.write() as connection:
            books = Contracted(connection)
            account = books.account("AC-1")
            book = books.price_book("PB-1", self.currency)
            books.contract(books.customer(), book, "CO-1", discount_percent=decimal_of(self.discount))
            self._price(books, date(2000, 1, 1))
            books.metered(
                months=6,
                months_per_schedule=self.months,
                actual={month: str(decimal_of(quantity)) for month, quantity in self.imported.items()},
                currency=self.currency,
                account_key=account,
                price_book_key=None,
                billing_frequency=FREQUENCIES[self.months],
                end_date=date(2023, 6, 30),
            )
        self.load(12)

    # --- acts --------------------------------------------------------------------------------------------------

    def load(self, number: int = 3) -> None:
        """Usage arrives, of days of a few weeks, so that windows fill."""
        with self.app.database.write() as connection:
            books = Contracted(connection)
            asset = books.key_of(tables.asset_line_item, "AL-1")
            for _ in range(number):
                one = Used(f"IN-{len(self.inputs)}", self._day(), self._quantity())
                day = one.day
                books.usage_input(asset, one.name, usage_date=day, quantity=decimal_of(one.quantity))
                self.inputs[one.name] = one

    def change_price(self) -> None:
        """A price from another day on, or a new revision of one that is there, of the same model or another."""
        day = self._day()
        if self.chance.random() < 0.5:
            day = self.chance.choice(list(self.rules))
        with self.app.database.write() as connection:
            self._price(Contracted(connection), day)

    def update_price(self) -> None:
        """A file with fewer columns revises a price, or makes one of another day, which inherits nothing."""
        day = self._day()
        if self.chance.random() < 0.7:
            day = self.chance.choice(list(self.rules))
        self.rules[day], cells, tiers = updated_rule(self.chance, self.rules.get(day))
        self.revisions[day] = self.revisions.get(day, 0) + 1
        name = {"price_book_id": "PB-1", "product": "data", "effective_from": day.isoformat()}
        line = {**name, "product_uom": "Each", **cells}
        update(self.app, prices=[line], price_tiers=[{**name, **tier} for tier in tiers])

    def update_contract(self) -> None:
        """A file revises the contract; its discount stays where the file has none."""
        line = {"contract_id": "CO-1", "customer_id": "CU-1", "price_book_id": "PB-1", "status": "Active"}
        line["start_date"] = "2000-01-01"
        discount = self.chance.choice((None, "", "2.5"))
        if discount is not None:
            line["discount_percent"] = discount
            self.discount = Fraction(discount or 0)
        update(self.app, contracts=[line])

    def rate(self) -> None:
        loaded = [one for one in self.inputs.values() if one.status == ("Loaded", None)]
        in_error = [one for one in self.inputs.values() if one.error_by is not None]
        some = self._some(loaded)
        if some:
            everything = some == loaded
            run = rate(self.app, {} if everything else {"usage_input_ids": [one.name for one in some]})
            self._check_told(run, in_error if everything else [])
        for one, charge in self._comes_to(some, self._begun([])):
            one.charge, one.place, one.start = charge, next(self.places), charge.prior
        for one in some:
            one.error_by = "rating" if one.bad else None

    def edit(self) -> None:
        """What is not Rated, first what is in Error, gets another day and quantity: a reset of what was unrated."""
        some = [one for one in self.inputs.values() if one.amount is None]
        some = [one for one in some if one.error_by is not None] or some
        for one in self._some(some)[:3]:
            one.day, one.quantity = self._day(), self._quantity()
            quantity = str(decimal_of(one.quantity))
            edit_usage_input(
                self.app, one.name, usage_date=one.day.isoformat(), quantity=quantity, actor=ACTOR
            )
            if one.error_by != "unrating":
                one.error_by = None

    def reset(self) -> None:
        reset_usage_inputs(self.app, status="Error", actor=ACTOR)
        for one in self.inputs.values():
            one.error_by = None

    def forecast(self) -> None:
        again = self.chance.random() < 0.5
        draft(self.app, {"include_rated": again})
        hand = [
            one
            for one in self.inputs.values()
            if one.error_by in (None, "draft") and (again or one.amount is None)
        ]
        left_out = hand if again else []
        expected = {one.name: charge.amount for one, charge in self._comes_to(hand, self._begun(left_out))}
        found = amounts(self.app)
        assert {name: found[name] for name in expected} == self._texts(expected)
        for one in hand:
            one.error_by = "draft" if one.bad else None

    def unrate(self) -> None:
        some = self._some([one for one in self.inputs.values() if one.amount is not None])
        if some:
            dry = unrate(self.app, {"usage_input_ids": [one.name for one in some]}, mode="dry_run")
            run = unrate(self.app, {"usage_input_ids": [one.name for one in some]})
            assert dry["totals"] == run["totals"]
            taken = [one for one in some if not one.billed]
            for one in taken:
                one.error_by = "unrating"
            self._check_restated(run, self._restate(taken))
            for one in taken:
                one.charge = None
        if self.chance.random() < 0.5:
            self.reset()

    def invoice(self) -> None:
        """What is pending of a window is invoiced."""
        window = self.chance.randrange(6 // self.months)
        start = date(2023, window * self.months + 1, 1).isoformat()
        pending = [
            row["billing_schedule_id"]
            for row in list_billing_schedules(self.app)
            if (row["period_start_date"], row["status"]) == (start, "Pending Billing")
        ]
        if pending:
            invoice(self.app, *pending)
        self._note_billed()

    def cancel_invoice(self) -> None:
        """Of one billing schedule, though late usage beside it may stay invoiced."""
        invoiced = [
            row["billing_schedule_id"]
            for row in list_billing_schedules(self.app)
            if row["status"] == "Invoiced"
        ]
        if invoiced:
            invoice(self.app, self.chance.choice(invoiced), status="pending_billing")
        self._note_billed()

    def _note_billed(self) -> None:
        status_of = {row["usage_schedule_id"]: row["status"] for row in list_usage_schedules(self.app)}
        one, meter = tables.usage_input, tables.usage_schedule
        joined = one.join(meter, meter.c.id == one.c.rated_schedule_key)
        with self.app.database.read() as connection:
            found = connection.execute(
                select(one.c.usage_input_id, meter.c.usage_schedule_id).select_from(joined)
            )
            on = {name: status_of[schedule] for name, schedule in found}
        for name, used in self.inputs.items():
            used.billed = on.get(name) == "Invoiced"
        self.kept = {month for month in self.imported if status_of[f"US-AL-1-{month:02}"] == "Invoiced"}

    def amend(self) -> None:
        """What is pending is superseded, and what was taken over with it is charged elsewhere."""
        if all(row["status"] != "Pending Billing" for row in list_billing_schedules(self.app)):
            return
        amend_asset_line_item(self.app, "AL-1", actor=ACTOR)
        for one in self.inputs.values():
            if not one.billed:
                one.charge = None
        self.imported = {month: quantity for month, quantity in self.imported.items() if month in self.kept}

    def recalculate(self) -> None:
        """Beside other acts: every window of what is a record of the run still is done again whole."""
        months = self.chance.sample(range(1, 7), self.chance.randint(1, 3))
        windows = {self._window(date(2023, month, 1)) for month in months}
        records = self._rated_in(windows)
        acts: list[Callable[[], None]] = [self.rate, self.unrate, self.reset, self.edit, self.load]
        acts += [self.update_price, self.invoice, self.cancel_invoice, self.amend]
        between = self.chance.choices([self.rate, *acts], k=self.chance.randint(0, 5))
        run = recalculate_beside(
            self.app, lambda: [act() for act in between], [f"2023-{month:02}" for month in months]
        )
        assert run["total"] == len(records)
        still = self._rated_in(windows)
        hand = self._rated_in({self._window(one.day) for one in records if one in still})
        found = self._comes_to(hand, self._begun(hand), billed_first=True)
        pending = [one for one in hand if not one.billed]
        for one in hand:
            if one.billed:  # what is pending comes after it now
                one.start -= sum(other.quantity for other in pending if self._goes_before(other, one))
        for one, charge in found:
            if not one.billed:
                one.charge, one.place, one.start = charge, next(self.places), charge.prior

    def _rated_in(self, windows: set[int]) -> list[Used]:
        rated = [one for one in self.inputs.values() if one.amount is not None]
        return [one for one in rated if self._window(one.day) in windows]

    # --- what must hold ----------------------------------------------------------------------------------------

    def check(self) -> None:
        expected = {one.name: one.amount for one in self.inputs.values() if one.amount is not None}
        found = {name: text for name, text in rated(self.app).items() if self.inputs[name].amount is not None}
        assert found == self._texts(expected)
        assert statuses(self.app) == {one.name: one.status for one in self.inputs.values()}
        if not self.imported:
            assert_books_balance(self.app)

    def _check_told(self, run: View, left: Iterable[Used]) -> None:
        """A rating tells of these inputs in Error where a usage schedule of their day is still to be billed."""
        pending = [
            (row["period_start_date"], row["period_end_date"])
            for row in list_usage_schedules(self.app)
            if row["status"] == "Pending Billing"
        ]
        expected = {"not_rated": 0, "unrated": 0}
        for one in left:
            if any(start <= one.day.isoformat() <= end for start, end in pending):
                expected["unrated" if one.error_by == "unrating" else "not_rated"] += 1
        found = {warning["code"]: int(warning["message"].split()[0]) for warning in run["warnings"]}
        assert found == {code: number for code, number in expected.items() if number}

    def _begun(self, left_out: Iterable[Used]) -> dict[tuple[int, Price], Fraction]:
        """What windows have used by price: what is Rated, but for these, and what was taken over."""
        used: dict[tuple[int, Price], Fraction] = {}
        names = {one.name for one in left_out}
        for one in self.inputs.values():
            if one.price is not None and one.name not in names:
                key = self._window(one.day), one.price
                used[key] = used.get(key, Fraction(0)) + one.quantity
        for month, quantity in self.imported.items():
            day = date(2023, month, 1)
            key = self._window(day), self._in_force(day)
            used[key] = used.get(key, Fraction(0)) + quantity
        return used

    def _comes_to(
        self, hand: Iterable[Used], used: dict[tuple[int, Price], Fraction], *, billed_first: bool = False
    ) -> list[tuple[Used, Charge]]:
        """The good inputs in hand, each with what it comes to, in their order."""
        found = []
        for one in sorted(
            (one for one in hand if not one.bad),
            key=lambda one: (billed_first and not one.billed, one.day, int(one.name[3:])),
        ):
            price = self._in_force(one.day)
            key = self._window(one.day), price
            basis = price, self.rules[price[0]], self.discount, used.get(key, Fraction(0)), key not in used
            found.append((one, self._charge(one, *basis)))
            used[key] = used.get(key, Fraction(0)) + one.quantity
        return found

    def _charge(
        self, one: Used, price: Price, rule: Rule, discount: Fraction, prior: Fraction, first: bool
    ) -> Charge:
        exact = rule.charge(one.quantity, prior, first) * (1 - discount / 100)
        return Charge(minor_units(exact, self.currency), price, rule, discount, prior, first)

    def _restate(self, taken: list[Used]) -> dict[str, tuple[int, int]]:
        """What came after these in their windows starts earlier; what came to something else, by name."""
        changed = {}
        names = {one.name for one in taken}
        stay = [one for one in self.inputs.values() if one.charge is not None and one.name not in names]
        for one in sorted(stay, key=lambda one: one.place):
            before = [other for other in taken if self._goes_before(other, one)]
            if before and one.charge is not None:
                had, price, rule, discount, *_ = one.charge
                one.start -= sum(other.quantity for other in before)
                if one.billed:
                    continue
                first = not one.start and not any(self._goes_before(other, one) for other in stay)
                one.charge = self._charge(one, price, rule, discount, one.start, first)
                if one.charge.amount != had:
                    changed[one.name] = had, one.charge.amount
        return changed

    def _goes_before(self, one: Used, other: Used) -> bool:
        same = (self._window(one.day), one.price) == (self._window(other.day), other.price)
        return same and one.place < other.place

    def _check_restated(self, run: View, expected: dict[str, tuple[int, int]]) -> None:
        """Each is a line of the run and explained anew, and the total is what they come to more."""
        shown = show_run(self.app, run["run_id"])["restated"]
        lines = {line["record_id"]: (line["before"], line["after"]) for line in shown}
        before = self._texts({name: change[0] for name, change in expected.items()})
        after = self._texts({name: change[1] for name, change in expected.items()})
        assert lines == {name: (before[name], after[name]) for name in expected}
        total = sum(change[1] - change[0] for change in expected.values())
        restated = run["totals"].get("restated_amount")
        assert restated == ({self.currency: self._texts({"": total})[""]} if expected else None)
        for name in expected:
            explained = explain_usage_input(self.app, name)
            assert explained["explanation"]["rated"]["amount"] == after[name]
            assert explained["history"][-1]["outcome"] == "restated"

    def _in_force(self, day: date) -> Price:
        start = max(start for start in self.rules if start <= day)
        return start, self.rules[start].model

    def _day(self) -> date:
        return date(2023, 1, 1) + timedelta(days=self.chance.randrange(100))

    def _quantity(self) -> Fraction:
        """One in ten is bad."""
        return Fraction(-1 if self.chance.random() < 0.1 else self.chance.randint(0, 120), 8)

    def _window(self, day: date) -> int:
        return (day.month - 1) // self.months

    def _some(self, of: list[Used]) -> list[Used]:
        """All of them, some, or one."""
        number = self.chance.choice((len(of), len(of) // 2, 1))
        return of if number >= len(of) else self.chance.sample(of, number)

    def _texts(self, expected: dict[str, int]) -> dict[str, str]:
        digits = DIGITS[self.currency]
        return {
            name: f"{decimal_of(Fraction(minor, 10**digits)):.{digits}f}" for name, minor in expected.items()
        }

    def _price(self, books: Contracted, day: date) -> None:
        rule = self.rules[day] = random_rule(self.chance)
        revision = self.revisions[day] = self.revisions.get(day, 0) + 1
        write_price(books, books.key_of(tables.price_book, "PB-1"), "data", day, rule, revision)


def walk(app: Application, seed: int) -> list[str]:
    """The acts of a walk; raises AssertionError where one breaks a promise."""
    one = Walk(app, Random(seed))
    one.begin()
    acts: tuple[Callable[[], None], ...] = (
        *(one.rate, one.rate, one.rate, one.forecast, one.change_price, one.update_price, one.update_price),
        *(one.update_contract, one.load, one.edit, one.edit, one.reset, one.unrate, one.unrate, one.invoice),
        *(one.cancel_invoice, one.amend, one.recalculate),
    )
    done: list[str] = []
    for _ in range(STEPS):
        act = one.chance.choice(acts)
        done.append(act.__name__)
        try:
            act()
            one.check()
        except AssertionError as error:
            raise AssertionError(f"walk {seed}, after {', '.join(done)}: {error}") from error
    return done


# Cases of one price until the 15th of June and another from the 16th on


def fee_from_the_16th(books: Contracted) -> None:
    """Nobody paid the new fee before."""
    books.begin("data", "per_unit", unit_price="1", usage_indexing=True)
    books.priced(
        *("data", "flat"),
        unit_price=None,
        flat_fee="99",
        usage_indexing=True,
        effective_from=date(2023, 6, 16),
    )
    asset = books.of_account()
    books.used(asset, "before", "06-10", "10")
    books.used(asset, "after", "06-20", "5")


def terabytes_from_the_16th(books: Contracted) -> None:
    """500 GB are no 500 TB."""
    cheaper = [("100", "1", None), (None, "0.5", None)]
    books.begin("data", "tiered", tiers=cheaper, product_uom="GB", usage_indexing=True)
    books.priced(
        *("data", "tiered"),
        tiers=[("1", "900", None), (None, "400", None)],
        product_uom="TB",
        usage_indexing=True,
        effective_from=date(2023, 6, 16),
    )
    asset = books.of_account()
    books.used(asset, "before", "06-10", "500", product_uom="GB")
    books.used(asset, "after", "06-20", "2", product_uom="TB")


def included_from_the_16th(books: Contracted) -> None:
    """Each price grants what it includes."""
    books.begin("data", "per_unit", unit_price="1", included_quantity="8")
    books.priced(
        *("data", "per_unit"), unit_price="2", included_quantity="3", effective_from=date(2023, 6, 16)
    )
    asset = books.of_account()
    books.used(asset, "before", "06-10", "10")
    books.used(asset, "after", "06-20", "5")


def at_once(app: Application) -> None:
    rate(app)


def one_by_one(app: Application) -> None:
    for name in ("before", "after"):
        rate(app, {"usage_input_ids": [name]})


def the_other_way_round(app: Application) -> None:
    for name in ("after", "before"):
        rate(app, {"usage_input_ids": [name]})


def late(app: Application) -> None:
    rate(app, {"usage_input_ids": ["before"]})
    invoice(app, "BS-AL-1-06")
    rate(app)


def unrated_and_rated_again(app: Application) -> None:
    for name in ("before", "after"):
        rate(app)
        unrate(app, {"usage_input_ids": [name]})
        reset_usage_inputs(app, status="Error", actor=ACTOR)
    rate(app)


def amended(app: Application) -> None:
    rate(app)
    amend_asset_line_item(app, "AL-1", actor=ACTOR)
    rate(app)


def recalculated(app: Application) -> None:
    rate(app)
    recalculate(app)


WAYS = (at_once, one_by_one, the_other_way_round, late, unrated_and_rated_again, amended, recalculated)


@pytest.mark.on_both
@pytest.mark.parametrize(
    ("case", "before", "after"),
    [
        (fee_from_the_16th, "10.00", "99.00"),
        (terabytes_from_the_16th, "300.00", "1300.00"),
        (included_from_the_16th, "2.00", "4.00"),
    ],
)
def test_a_window_counts_for_each_price_by_itself_whichever_way_it_is_rated(
    app: Application, case: Callable[[Contracted], None], before: str, after: str
) -> None:
    for way in WAYS:
        empty(app)
        with app.database.write() as connection:
            case(Contracted(connection))
        draft(app)
        assert amounts(app) == {"before": before, "after": after}
        way(app)
        assert rated(app) == {"before": before, "after": after}, way
        draft(app, {"include_rated": True})
        assert amounts(app) == {"before": before, "after": after}, way
        assert_books_balance(app)


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [
        ({}, True),
        ({"unit_price": "7", "included_quantity": "1", "usage_indexing": False}, True),
        ({"package_size": "5"}, False),
        ({"model": "per_unit", "package_size": None}, False),
        ({"effective_from": date(2023, 6, 16)}, False),
    ],
)
def test_a_revision_of_a_price_goes_on_where_model_unit_and_package_size_are_the_same(
    app: Application, write: Write, changes: dict[str, Any], goes_on: bool
) -> None:
    def revise(books: Company) -> None:
        price = {
            "model": "package",
            "unit_price": "3",
            "package_size": "10",
            "usage_indexing": True,
            "revision": 2,
        }
        books.priced("data", **{**price, **changes})

    def begin(books: Company) -> None:
        books.priced("data", "package", unit_price="2", package_size="10", usage_indexing=True)
        asset = books.metered()
        books.used(asset, "before", "06-10", "7")
        books.used(asset, "after", "06-20", "2")

    write(begin)
    rate(app, {"usage_input_ids": ["before"]})
    write(revise)
    rate(app)
    assert stored(app, "after")["rated_prior_quantity"] == (7 if goes_on else None)
    found = explain_usage_input(app, "after")["explanation"]["rated"]
    assert (found["prior_quantity"], found["first_in_window"]) == (
        ("7.00", False) if goes_on else ("0.00", True)
    )
    assert_books_balance(app)


def test_a_recalculation_by_another_price_moves_what_its_inputs_are_counted_for(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "flat", unit_price=None, flat_fee="99", usage_indexing=True)
        asset = books.of_account()
        for name, day in (("first", "06-10"), ("second", "06-12"), ("later", "06-20")):
            books.used(asset, name, day)

    with app.database.write() as connection:
        fill(Contracted(connection))
    rate(app, {"usage_input_ids": ["first", "second"]})
    write(lambda books: books.priced("data", unit_price="1", usage_indexing=True, revision=2))
    recalculate(app)
    assert_books_balance(app)
    write(
        lambda books: books.priced(
            "data", "flat", unit_price=None, flat_fee="50", usage_indexing=True, revision=3
        )
    )
    rate(app)
    assert rated(app) == {"first": "10.00", "second": "10.00", "later": "50.00"}
    assert_books_balance(app)


# Random walks


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_whatever_happens_while_prices_change_amounts_are_what_fractions_say(
    applications: Open, kind: str
) -> None:
    for seed in range(depth(12, 200)):
        walk(applications(kind), seed if kind == "sqlite" else 1_000_000 + seed)
