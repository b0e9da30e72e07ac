"""What is kept of the forecast: by block of assets, good until a change of the block, never another answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from batchwright.billing.records import assets, forecast_blocks
from batchwright.operations.app import Application
from batchwright.operations.billing import forecast as forecasts
from batchwright.operations.billing.forecast import Forecast, forecast, look_at_forecast, refresh_forecast
from batchwright.operations.workers import Presence
from tests.support.records import Books

Write = Callable[[Callable[[Books], Any]], Any]

ASSETS = 9


def add(books: Books, asset: int, number: int, month: int, **figures: Any) -> None:
    """A schedule of that month of 2023 with these figures."""
    period = {"period_start_date": date(2023, month, 1), "period_end_date": date(2023, month, 28)}
    key = books.billing_schedule(asset, f"BS-{number}", **period)
    books.usage_schedule(asset, key, f"US-{number}", **period, **figures)


def drafted(quantity: str, amount: int) -> dict[str, Any]:
    return {"draft_rated_quantity": Decimal(quantity), "draft_fee_amount": amount}


def rated(quantity: str, amount: int) -> dict[str, Any]:
    return {"actual_quantity": Decimal(quantity), "fee_amount": amount}


@pytest.fixture
def company(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_blocks, "ASSETS", 2)
    monkeypatch.setattr(forecasts, "BLOCKS_AT_A_TIME", 2)
    monkeypatch.setattr(forecasts, "BLOCKS_IN_MEMORY", 2)

    def fill(books: Books) -> None:
        for number in range(ASSETS):
            asset = books.asset(f"AL-{number}", customer_id=f"CU-{number % 2}", product=f"P-{number % 3}")
            figures = drafted("0.1", 100) if number % 2 else rated("5", 50)
            add(books, asset, number, 1 + number % 4, **figures)

    write(fill)


def every_forecast(app: Application) -> list[Any]:
    """By each, whole and narrowed down by all else."""
    narrowed: list[dict[str, Any]] = [
        {},
        {"customer_id": "CU-1"},
        {"product": "P-2"},
        {"since": "2023-02", "until": "2023-03"},
        {"customer_id": "CU-0", "product": "P-0", "until": "2023-03"},
    ]
    return [forecast(app, by, **only) for by in forecasts.CHOICES for only in narrowed]


def stale(app: Application) -> list[tuple[int, int]]:
    with app.database.read() as connection:
        return list(forecast_blocks.ranges(forecast_blocks.read(connection, "month").stale))


@pytest.mark.on_both
@pytest.mark.usefixtures("company")
def test_blocks_are_added_up_some_at_a_time_and_anew_after_a_change(app: Application, write: Write) -> None:
    before = every_forecast(app)
    assert stale(app) == [(0, 4)]
    assert refresh_forecast(app)
    assert stale(app) == [(2, 4)]
    assert before == every_forecast(app)
    while refresh_forecast(app):
        pass
    assert stale(app) == []
    assert before == every_forecast(app)
    with app.database.write() as connection:
        assets.lock(connection, [2, 3, 7])
    assert stale(app) == [(1, 1), (3, 3)]
    write(lambda books: add(books, 7, 100, 1, **rated("1", 1)))
    [january, *_] = forecast(app)
    assert (january["month"], january["fee_amount"]) == ("2023-01", "1.51")
    while refresh_forecast(app):
        pass
    assert forecast(app)[0] == january
    assert not refresh_forecast(app)


@pytest.mark.usefixtures("company")
def test_a_change_that_is_rolled_back_leaves_what_is_kept(app: Application) -> None:
    while refresh_forecast(app):
        pass
    with pytest.raises(ZeroDivisionError):
        lock_in_vain(app)
    assert stale(app) == []


def lock_in_vain(app: Application) -> None:
    with app.database.write() as connection:
        assets.lock(connection, [3])
        raise ZeroDivisionError


@pytest.mark.usefixtures("company")
def test_a_look_writes_nothing(app: Application) -> None:
    while refresh_forecast(app):
        pass
    with app.database.write() as connection:
        assets.lock(connection, [3])
    forecast(app)
    assert stale(app) == [(1, 1)]


@pytest.mark.on_both
@pytest.mark.usefixtures("company")
def test_one_process_adds_up_at_a_time_and_the_others_do_not_wait(app: Application) -> None:
    if app.database.is_sqlite:
        return  # every writer is alone there
    with app.database.write() as connection:
        assert forecast_blocks.take_changes(connection, app.clock.now())
        assert not refresh_forecast(app)
    assert refresh_forecast(app)


@pytest.mark.on_both
@pytest.mark.usefixtures("company")
def test_who_cannot_wait_sees_what_many_changed_blocks_came_to_before_and_is_told(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecasts, "BLOCKS_OF_A_LOOK", 1)
    while refresh_forecast(app):
        pass
    before = forecast(app)
    with app.database.write() as connection:
        assets.lock(connection, [2, 3, 7])
    write(lambda books: add(books, 7, 100, 1, **rated("1", 1)))
    told = Forecast(before, changed_assets=4, no_worker=True)
    assert look_at_forecast(app) == told, "nobody has seen the changes yet"
    assert forecast(app)[0]["fee_amount"] == "1.51"
    monkeypatch.setattr(forecasts, "BLOCKS_AT_A_TIME", 0)
    assert not refresh_forecast(app)
    Presence(app).beat()
    assert look_at_forecast(app) == Forecast(before, changed_assets=4, changed_since=app.clock.now())
    monkeypatch.setattr(forecasts, "BLOCKS_AT_A_TIME", 1)
    assert refresh_forecast(app)
    assert look_at_forecast(app) == Forecast(forecast(app)), "one block is added up by the look"


@pytest.mark.on_both
@pytest.mark.usefixtures("company")
def test_who_cannot_wait_sees_a_part_of_what_was_never_added_up_and_is_told_how_much_is_missing(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = forecast(app, "customer")
    monkeypatch.setattr(forecasts, "BLOCKS_OF_A_LOOK", 1)
    part = look_at_forecast(app, "customer")
    assert (part.missing_assets, part.changed_assets, part.no_worker) == (8, 0, True)
    assert [line["draft_fee_amount"] for line in part.lines] == [None], "of the first asset"
    assert look_at_forecast(app, "customer", customer_id="CU-1").missing_assets == 6
    while refresh_forecast(app):
        pass
    assert look_at_forecast(app, "customer") == Forecast(whole)


@pytest.mark.usefixtures("company")
def test_the_block_that_changed_first_is_added_up_first(app: Application) -> None:
    while refresh_forecast(app):
        pass
    for second, asset in enumerate((7, 2)):
        with app.database.write() as connection:
            assets.lock(connection, [asset])
        with app.database.write() as connection:
            forecast_blocks.take_changes(connection, app.clock.now() + timedelta(seconds=second))
    with app.database.read() as connection:
        assert forecast_blocks.missing(connection, 9) == [3, 1]
