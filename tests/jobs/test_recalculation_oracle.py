"""Random companies recalculated, against an oracle in fractions that shares nothing with the code that it judges."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.recalculation import list_account_charges
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.previews import apply_run
from tests.jobs.conftest import Open
from tests.jobs.drafting import billing_rows, empty
from tests.jobs.fractions import DIGITS, Rule, decimal_of, minor_units, random_rule, write_price
from tests.jobs.rating import assert_books_balance, invoice, rate, rated
from tests.jobs.recalculating import Contracted, recalculate
from tests.support.application import ACTOR
from tests.support.rungs import depth

CHANGE = date(2023, 4, 11)
"""From this day on prices are others, and by the second contract, too."""
KINDS = ("percentage_charge", "percentage_discount", "fixed_charge", "fixed_discount")


@dataclass
class Used:
    """An input: its asset, day, quantity, and the period of its window."""

    name: str
    asset: int
    day: date
    quantity: Fraction
    window: tuple[date, date]
    billed: bool = False


@dataclass
class Story:
    """What happened: by asset its currency, product, own book and account; the inputs; what is in force now."""

    chance: Random
    currency: str
    assets: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[Used] = field(default_factory=list)
    rules: dict[tuple[str, str, date], Rule] = field(default_factory=dict)
    contracts: list[tuple[date, str, Fraction]] = field(default_factory=list)
    items: list[tuple[str, str, Fraction, str | None]] = field(default_factory=list)

    @property
    def unit(self) -> int:
        """Minor units in one of the currency."""
        return int(10 ** DIGITS[self.currency])

    def minor(self, exact: Fraction) -> int:
        return minor_units(exact, self.currency)

    def text(self, minor: int) -> str:
        return f"{Decimal(minor).scaleb(-DIGITS[self.currency]):f}"


def _begin(app: Application, story: Story) -> None:
    chance = story.chance
    with app.database.write() as connection:
        books = Contracted(connection)
        for account in ("AC-1", "AC-2"):
            books.account(account)
        for book in ("PB-A", "PB-B"):
            key = books.price_book(book, story.currency)
            for product in ("data", "calls"):
                for start in (date(2000, 1, 1), CHANGE):
                    rule = story.rules[book, product, start] = random_rule(story.chance)
                    write_price(books, key, product, start, rule, 1)
        discount = Fraction(chance.choice((0, 10, 33)), 2)
        split = chance.choice((None, date(2023, 5, 1), date(2023, 5, 18)))
        until = None if split is None else split - timedelta(days=1)
        earlier = books.key_of(tables.price_book, "PB-A")
        story.contracts.append((date(2000, 1, 1), "PB-A", discount))
        books.contract(
            books.customer(), earlier, "CO-1", end_date=until, discount_percent=decimal_of(discount)
        )
        if split is not None:
            later = books.key_of(tables.price_book, "PB-B")
            story.contracts.append((split, "PB-B", Fraction(5)))
            books.contract(books.customer(), later, "CO-2", start_date=split, discount_percent=Decimal(5))
        for number in range(3):
            _asset(books, story, number)


def _asset(books: Contracted, story: Story, number: int) -> None:
    """An asset billed by one, three or six months that begin on the 1st or the 16th, its usage by the month."""
    chance, months = story.chance, story.chance.choice((1, 3, 6))
    day, account = chance.choice((1, 16)), chance.choice(("AC-1", "AC-2"))
    own = chance.choice((None, None, "PB-B"))
    product = chance.choice(("data", "calls"))
    key = books.asset(
        f"AL-{number}",
        product=product,
        currency=story.currency,
        start_date=date(2023, 1, day),
        first_billing_date=date(2023, 1, day),
        account_key=books.key_of(tables.account, account),
        price_book_key=None if own is None else books.key_of(tables.price_book, own),
    )
    story.assets.append({"account": account, "book": own, "product": product})
    starts = [date(2023, month, day) for month in range(1, 8)]
    for first in range(0, 6, months):
        window = starts[first], starts[first + months] - timedelta(days=1)
        billing_schedule = books.billing_schedule(
            key, f"BS-{number}-{first}", period_start_date=window[0], period_end_date=window[1]
        )
        for month in range(first, first + months):
            period = {
                "period_start_date": starts[month],
                "period_end_date": starts[month + 1] - timedelta(days=1),
            }
            books.usage_schedule(key, billing_schedule, f"US-{number}-{month}", **period)
        for place in range(chance.randint(0, 2 * months)):
            when = window[0] + timedelta(days=chance.randrange((window[1] - window[0]).days + 1))
            name, quantity = f"IN-{number}-{first}-{place}", Fraction(chance.randint(1, 160), 8)
            books.usage_input(key, name, usage_date=when, quantity=decimal_of(quantity))
            story.inputs.append(Used(name, number, when, quantity, window))


def _live(app: Application, story: Story) -> None:
    """Usage is rated in two halves, some of it billed between; then prices change, and line items are agreed."""
    chance = story.chance
    names = [one.name for one in story.inputs]
    chance.shuffle(names)
    halves = names[::2], names[1::2]
    if halves[0]:
        rate(app, {"usage_input_ids": halves[0]})
    schedules = sorted({(one.asset, one.window) for one in story.inputs})
    billed = chance.sample(schedules, len(schedules) // 3)
    for one in story.inputs:
        one.billed = (one.asset, one.window) in billed and one.name in halves[0]
    firsts = {(number, window): (window[0].month - 1) for number, window in billed}
    if firsts:
        invoice(app, *(f"BS-{number}-{first}" for (number, _), first in firsts.items()))
    if halves[1]:
        rate(app, {"usage_input_ids": halves[1]})
    with app.database.write() as connection:
        books = Contracted(connection)
        for (book, product, start), _ in list(story.rules.items()):
            if chance.random() < 0.6:
                rule = story.rules[book, product, start] = random_rule(story.chance)
                write_price(books, books.key_of(tables.price_book, book), product, start, rule, 2)
        for place, kind in enumerate(KINDS):
            item = f"L-{place}", kind, Fraction(chance.randint(1, 999), 8), chance.choice((None, "AC-1"))
            last = f"CO-{len(story.contracts)}"
            books.line_item(item[0], kind, str(decimal_of(item[2])), item[3], contract_id=last)
            story.items.append(item)


def _amounts(story: Story, months: list[str]) -> dict[str, int]:
    """What every input of the windows of these months comes to, in minor units."""
    windows: dict[tuple[int, tuple[date, date]], list[Used]] = defaultdict(list)
    for place, one in enumerate(story.inputs):
        windows[one.asset, one.window].append(one)
        assert place == story.inputs.index(one)
    amounts: dict[str, int] = {}
    for (number, window), inputs in windows.items():
        spanned = {
            str(window[0] + timedelta(days=day))[:7] for day in range((window[1] - window[0]).days + 1)
        }
        if not spanned & set(months):
            continue
        used: dict[tuple[Any, ...], Fraction] = {}
        arrived = sorted(inputs, key=lambda one: (not one.billed, one.day, story.inputs.index(one)))
        for one in arrived:
            price, rule, discount = _in_force(story, number, one.day, months)
            # A window counts for each price by itself; revisions of one model are one.
            count = (*price, rule.model)
            exact = rule.charge(one.quantity, used.get(count, Fraction(0)), count not in used)
            amounts[one.name] = story.minor(exact * (1 - discount / 100))
            used[count] = used.get(count, Fraction(0)) + one.quantity
    return amounts


def _in_force(
    story: Story, number: int, day: date, months: list[str]
) -> tuple[tuple[str, str, date], Rule, Fraction]:
    """The contract of the month's last day in the months that are recalculated, else of the day; the newest price."""
    last = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    judged = last if str(day)[:7] in months else day
    _, book, discount = [one for one in story.contracts if one[0] <= judged][-1]
    asset = story.assets[number]
    start = CHANGE if day >= CHANGE else date(2000, 1, 1)
    price = asset["book"] or book, asset["product"], start
    return price, story.rules[price], discount


def _charges(story: Story, months: list[str], amounts: dict[str, int]) -> list[tuple[str, ...]]:
    """What the custom line items come to, by what every input is rated at in the end."""
    rows = []
    for month in months:
        for account in ("AC-1", "AC-2"):
            base = [
                one.name
                for one in story.inputs
                if (story.assets[one.asset]["account"], str(one.day)[:7]) == (account, month)
            ]
            for name, kind, number, only in story.items:
                if only not in (None, account) or (kind.startswith("percentage") and not base):
                    continue
                minor = story.minor(number)
                if kind.startswith("percentage"):
                    share = Fraction(sum(amounts[one] for one in base), story.unit) * number / 100
                    minor = story.minor(share)
                rows.append(
                    (account, month, name, story.text(-minor if kind.endswith("discount") else minor))
                )
    return sorted(rows)


def _open_months(app: Application, story: Story) -> set[tuple[str, str]]:
    """Accounts and months in which something is pending still: what is charged in the others stays."""
    account_of = {f"AL-{number}": asset["account"] for number, asset in enumerate(story.assets)}
    return {
        (account_of[schedule["asset_line_item_id"]], f"2023-0{month}")
        for schedule in list_billing_schedules(app)
        if schedule["status"] == "Pending Billing"
        for month in range(1, 8)
        if schedule["period_start_date"][:7] <= f"2023-0{month}" <= schedule["period_end_date"][:7]
    }


@pytest.mark.parametrize("seed", depth([0, 5], range(12)))
def test_a_recalculation_comes_to_what_fractions_say(applications: Open, seed: int) -> None:
    app = applications("postgresql" if seed % 6 == 5 else "sqlite")
    check(app, seed)


def check(app: Application, seed: int) -> None:
    empty(app)
    story = Story(Random(seed), Random(seed).choice(list(DIGITS)))
    _begin(app, story)
    _live(app, story)
    before = rated(app)
    covered = [f"2023-0{month}" for month in range(1 if len(story.contracts) == 1 else 5, 7)]
    months = sorted(story.chance.sample(covered, story.chance.randint(1, len(covered))))
    dry = recalculate(app, months, mode="dry_run", scope_size=2)
    if seed % 2:
        run = drive_run(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False).run_id)
    else:
        run = recalculate(app, months)
    assert (run["status"], run["errored"], run["totals"]) == ("Completed", 0, dry["totals"])
    billed = {one.name for one in story.inputs if one.billed}
    comes = {name: story.text(minor) for name, minor in _amounts(story, months).items() if name not in billed}
    assert rated(app) == {**before, **comes}
    assert run["total"] == len(_amounts(story, months))
    assert_books_balance(app)
    digits = DIGITS[story.currency]
    amounts = {name: int(Decimal(text or 0).scaleb(digits)) for name, text in rated(app).items()}
    charged = sorted(
        (row["account_id"], row["period"], row["line_item_id"], row["amount"])
        for row in list_account_charges(app)
    )
    open_months = _open_months(app, story)
    assert charged == [row for row in _charges(story, months, amounts) if row[:2] in open_months]
    stands = {name: rows for name, rows in billing_rows(app).items() if name != "account_charge"}
    recalculate(app, months)
    again = billing_rows(app)
    assert {name: again[name] for name in stands} == stands
