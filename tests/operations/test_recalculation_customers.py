"""Customers that a person types some letters of, to recalculate one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing import recalculation
from batchwright.operations.billing.recalculation import (
    CUSTOMERS_FOUND,
    find_recalculation_customers,
    recalculation_offer,
)
from batchwright.operations.runs.submitting import submit_run
from tests.support.application import ACTOR
from tests.support.records import Books
from tests.support.statements import executed

Write = Callable[[Callable[[Books], Any]], Any]


@pytest.fixture
def company(app: Application, write: Write) -> None:
    def fill(books: Books) -> list[int]:
        book = books.price_book()
        names = {"C-1": "Harbour Light", "C-2": "Alpenglow", "C-3": "Lighthouse 100%", "C-4": "Öl_AG"}
        keys = [books.customer(an_id, name) for an_id, name in names.items()]
        books.contract(keys[0], book, "CT-1")
        books.contract(keys[1], book, "CT-2", end_date=date(2023, 6, 30))
        books.contract(keys[2], book, "CT-3")
        return keys

    keys = write(fill)
    with app.database.write() as connection:
        for number in (0, 1):
            row = {"account_id": f"A-{number}", "customer_key": keys[number], "name": "x"}
            connection.execute(insert(tables.account).values(row))


def found(app: Application, words: str) -> list[str]:
    return [one["customer_id"] for one in find_recalculation_customers(app, words)]


@pytest.mark.on_both
@pytest.mark.usefixtures("company")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("light", ["C-3", "C-1"]),  # that which begins so comes first
        ("LIGHT", ["C-3", "C-1"]),
        (" c-2 ", ["C-2"]),
        ("", ["C-1", "C-2", "C-3", "C-4"]),
        ("Öl", ["C-4"]),
        ("100%", ["C-3"]),
        ("%", ["C-3"]),
        ("_", ["C-4"]),
        ("\\", []),
        ("\0", []),
        ("nobody", []),
    ],
)
def test_customers_are_found_by_letters_of_their_id_or_name(
    words: str, expected: list[str], app: Application
) -> None:
    assert found(app, words) == expected


@pytest.mark.usefixtures("company")
def test_each_says_why_it_cannot_be_recalculated_and_those_that_can_are_offered(app: Application) -> None:
    by_id = {one["customer_id"]: one for one in find_recalculation_customers(app, "")}
    assert {an_id: one["missing"] for an_id, one in by_id.items()} == {
        "C-1": None,
        "C-2": "no contract is active today",
        "C-3": "no account is under its active contracts",
        "C-4": "no contract is active today",
    }
    [offered] = recalculation_offer(app)["customers"]
    assert {name: offered[name] for name in by_id["C-1"] if name != "missing"} == {
        name: value for name, value in by_id["C-1"].items() if name != "missing"
    }


@pytest.mark.usefixtures("company")
def test_what_is_offered_for_many_customers_takes_no_more_statements_than_for_one(
    app: Application, write: Write
) -> None:
    def offered() -> tuple[int, dict[str, list[str]]]:
        with executed(app.database.engine) as statements:
            customers = recalculation_offer(app)["customers"]
        return len(statements), {
            one["customer_id"]: [run["run_id"] for run in one["live"]] for one in customers
        }

    few, of_one = offered()
    assert (few <= 8, of_one) == (True, {"C-1": []})
    write(lambda books: [books.contract(key, books.price_book(), f"CT-1{key}") for key in (2, 4)])
    with app.database.write() as connection:
        row = {"account_id": "A-4", "customer_key": 4, "name": "x"}
        connection.execute(insert(tables.account).values(row))
    asked = {"periods": ["2023-01"], "reason": "Incorrect Charges"}
    live = {
        an_id: [submit_run(app, "data-recalculation", asked | {"customer_id": an_id}, actor=ACTOR).run_id]
        for an_id in ("C-2", "C-4")
    }
    assert offered() == (few, {"C-1": [], **live})


@pytest.mark.on_both
@pytest.mark.usefixtures("company")
def test_months_in_whose_windows_nothing_is_rated_are_told_of_one_customer(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(books: Books) -> None:
        mine, other = books.asset("AL-1", customer_id="C-1"), books.asset("AL-2", customer_id="C-2")
        for number, (asset, first, last, status, rated) in enumerate(
            (
                (mine, date(2023, 2, 15), date(2023, 3, 20), "Pending Billing", 1),
                (mine, date(2023, 4, 1), date(2023, 4, 30), "Superseded", 1),
                (mine, date(2023, 5, 1), date(2023, 5, 31), "Invoiced", 0),
                (other, date(2023, 1, 1), date(2023, 1, 31), "Invoiced", 1),
            )
        ):
            period = {"period_start_date": first, "period_end_date": last}
            key = books.billing_schedule(asset, f"BS-{number}", status=status, **period)
            books.usage_schedule(asset, key, f"US-{number}", rated_inputs=rated, **period)

    def empty(customer_id: str | None) -> list[str] | None:
        (customer,) = recalculation_offer(app, customer_id)["customers"]
        months: list[str] | None = customer["periods_without_rating"]
        return months

    write(fill)
    found = empty("C-1")
    assert found is not None
    assert [month for month in found if "2023-01" <= month <= "2023-05"] == ["2023-05", "2023-04", "2023-01"]
    assert empty(None) is None, "of all it is not looked for"
    monkeypatch.setattr(recalculation, "SCHEDULES_LOOKED_AT", 2)
    assert empty("C-1") is None, "that would be too much to look at"


def test_of_many_the_first_are_found(app: Application, write: Write) -> None:
    write(lambda books: [books.customer(f"C-{number:03}") for number in range(CUSTOMERS_FOUND + 5)])
    assert found(app, "c-") == [f"C-{number:03}" for number in range(CUSTOMERS_FOUND)]
