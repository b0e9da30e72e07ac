"""Recalculating in tests: a company whose prices and contracts change after its usage was rated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update

from batchwright.billing import tables
from batchwright.engine.events import Event, Point, Reached
from batchwright.operations.app import Application
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.foreseeing import foresee_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from tests.jobs.company import Company
from tests.jobs.drafting import draft
from tests.support.application import ACTOR
from tests.support.records import UOM

JOB = "data-recalculation"
JUNE = ("2023-06",)
WHY = "Incorrect Charges"


class Contracted(Company):
    """A company whose customer CU-1 has an account and a contract that is in force, with the book PB-USD."""

    def begin(self, product: str = "data", model: str = "per_unit", **price: Any) -> int:
        """The customer with its account AC-1, and a price of 2 (or another); the key of the contract."""
        if model == "per_unit":
            price.setdefault("unit_price", "2")
        self.priced(product, model, **price)
        self.account("AC-1")
        book = self.key_of(tables.price_book, "PB-USD")
        return self.contract(self.customer(), book, "CO-1")

    def of_account(self, name: str = "AL-1", account_id: str | None = "AC-1", **values: Any) -> int:
        """An asset of the account with schedules, priced by the contract unless it names a book."""
        account = None if account_id is None else self.key_of(tables.account, account_id)
        return self.metered(name, account_key=account, **{"price_book_key": None, **values})

    def line_item(
        self, name: str, kind: str, amount: str, account_id: str | None = None, **values: Any
    ) -> None:
        """A custom line item of the contract CO-1."""
        row = {
            "line_item_id": name,
            "contract_id": "CO-1",
            "account_key": account_id and self.key_of(tables.account, account_id),
            "description": name,
            "kind": kind,
            "amount": Decimal(amount),
            "start_date": date(2023, 1, 1),
        }
        self._to.execute(insert(tables.custom_line_item).values({**row, **values}))

    def charge(self, meter: str, bill: str, *, quantity: Decimal, fee: int, inputs: int) -> None:
        """What a rating has charged to a usage schedule and the billing schedule above it."""
        one, above = tables.usage_schedule, tables.billing_schedule
        figures = {"actual_quantity": quantity, "fee_amount": fee, "rated_inputs": inputs}
        self._to.execute(update(one).where(one.c.usage_schedule_id == meter).values(figures))
        self._to.execute(update(above).where(above.c.billing_schedule_id == bill).values(fee_amount=fee))

    def cover(self, contract_id: str, *account_ids: str) -> None:
        """Limit the contract to these accounts."""
        contract = self.key_of(tables.contract, contract_id)
        rows = [
            {"contract_key": contract, "account_key": self.key_of(tables.account, one)} for one in account_ids
        ]
        self._to.execute(insert(tables.contract_account), rows)

    def key_of(self, table: Any, an_id: str) -> int:
        statement = select(table.c.id).where(table.c[f"{table.name}_id"] == an_id)
        return int(self._to.execute(statement).scalar_one())


def reprice(app: Application, unit_price: str, product: str = "data", **values: Any) -> None:
    """A new revision of the product's price in PB-USD, from the same day."""
    with app.database.write() as connection:
        books = Contracted(connection)
        book = books.key_of(tables.price_book, "PB-USD")
        older = connection.execute(
            select(tables.price).where(
                tables.price.c.price_book_key == book, tables.price.c.product == product
            )
        ).all()
        row = {"revision": len(older) + 1, "unit_price": Decimal(unit_price), "product_uom": UOM, **values}
        books.price(book, product, **row)


def asked(periods: Sequence[str] = JUNE, **values: Any) -> dict[str, Any]:
    return {"customer_id": "CU-1", "periods": list(periods), "reason": WHY, **values}


def recalculate(app: Application, periods: Sequence[str] = JUNE, **values: Any) -> View:
    """The JSON of a recalculation of CU-1 that has ended, and took as many inputs as were counted before it."""
    parameters = asked(periods)
    foreseen = foresee_run(app, JOB, parameters, actor=ACTOR)
    run = draft(app, parameters, job=JOB, **values)
    assert run["total"] == foreseen["count"]
    return run


def submitted(app: Application, **parameters: Any) -> View:
    """The JSON of a run that waits."""
    return submit_run(app, JOB, {**asked(), **parameters}, actor=ACTOR, mail_actor=False).view


@contextmanager
def once_reached(app: Application, run_id: str, point: Point, act: Callable[[], object]) -> Iterator[None]:
    """Do it once, when the run has come to that point. Raises what it raises, and where the run does not come there."""
    begun, raised = list[Event](), list[Exception]()

    def notice(event: Event) -> None:
        if isinstance(event, Reached) and (event.run_id, event.point) == (run_id, point) and not begun:
            begun.append(event)
            try:
                act()
            except Exception as error:  # the run would only log it
                raised.append(error)

    app.events.subscribe(notice)
    yield
    if raised:
        raise raised[0]
    assert begun


def recalculate_beside(
    app: Application, act: Callable[[], object], periods: Sequence[str] = JUNE, **values: Any
) -> View:
    """The JSON of a recalculation of CU-1 that has ended; the act comes between its planning and its first scope."""
    submitted = submit_run(app, JOB, asked(periods), actor=ACTOR, **{"mail_actor": False, **values})
    with once_reached(app, submitted.run_id, "planned", act):
        return drive_submitted(app, submitted)


def warnings(run: View) -> list[tuple[str, str]]:
    return [(warning["code"], warning["message"]) for warning in run["warnings"]]
