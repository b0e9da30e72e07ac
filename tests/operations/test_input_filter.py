"""Filters of usage inputs: how they are written, and what their pages hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from batchwright.billing.records import input_filter
from batchwright.billing.records.input_filter import InputFilter
from batchwright.billing.records.inputs import CODES, InputStatus
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.input_filter import filter_of, filter_text, pairs_of
from batchwright.operations.billing.usage_inputs import (
    delete_usage_inputs,
    list_usage_inputs,
    show_usage_input,
    usage_inputs_page,
)
from tests.support.application import ACTOR
from tests.support.records import Books
from tests.support.rungs import depth

Write = Callable[[Callable[[Books], Any]], Any]

FIRST = date(2023, 6, 1)
CUSTOMERS, ASSETS, PRODUCTS = 3, 9, ("data", "Disk, fast", "calls")


def read(text: str) -> InputFilter:
    return filter_of(pairs_of(text))


# How it is written


def test_a_filter_names_what_it_asks_for_and_a_repeated_name_asks_for_either() -> None:
    assert read("status=Error , code=no_price,code=no_tier,from=2023-06-01,before=2023-07-01") == InputFilter(
        status=("Error",),
        code=("no_price", "no_tier"),
        usage_from=date(2023, 6, 1),
        usage_before=date(2023, 7, 1),
    )


def test_a_value_with_a_comma_stands_in_quotes_and_a_quote_in_it_twice() -> None:
    query = read('product="Disk, 2"" wide", customer_id=C-1')
    assert query == InputFilter(product=('Disk, 2" wide',), customer_id=("C-1",))


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("", "where", "cannot be read from its end on"),
        ("status=Error,", "where", "cannot be read from its end on"),
        ("status=Error,,code=no_price", "where", "cannot be read from ',code=no_price' on"),
        ("status", "where", "cannot be read from 'status' on"),
        ('product="Disk', "where", "cannot be read"),
        ('product=Di"sk', "where", "cannot be read"),
        ("stauts=Error", "where", "not filtered by 'stauts'"),
        ("=Error", "where", "not filtered by ''"),
        ("status=error", "status", "'error' is not known"),
        ("status=", "status", "status is empty"),
        ("code=nonsense", "code", "'nonsense' is not known"),
        ("from=2023-06-31", "from", "not a day of the calendar"),
        ("from=2023-06-01,from=2023-06-02", "from", "given twice"),
        ("from=2023-06-01,before=2023-06-01", "before", "no day lies between"),
        ("customer_id= C 1\x00", "customer_id", "not printable"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_field(text: str, field: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        read(text)
    assert refused.value.field == field
    assert refused.value.remedy


IDS = st.text("ab \",='-ü", min_size=1, max_size=6).filter(
    lambda text: text == text.strip() and text[0] in "abü"
)


@given(
    st.builds(
        InputFilter,
        status=st.sets(st.sampled_from([*map(str, InputStatus)])).map(sorted).map(tuple),
        code=st.sets(st.sampled_from(CODES)).map(sorted).map(tuple),
        customer_id=st.sets(IDS, max_size=3).map(sorted).map(tuple),
        product=st.sets(IDS, max_size=3).map(sorted).map(tuple),
        usage_from=st.none() | st.just(FIRST),
        usage_before=st.none() | st.dates(FIRST + timedelta(1), date(2100, 1, 1)),
    ).filter(lambda where: where != InputFilter())
)
def test_the_text_of_a_filter_reads_as_that_filter(where: InputFilter) -> None:
    assert read(filter_text(where)) == where


# What its pages hold


@pytest.fixture
def stock(app: Application, write: Write) -> list[dict[str, Any]]:
    """Inputs of every kind on assets of several customers; what is known of each, in order of arrival."""
    random, known = Random(14), list[dict[str, Any]]()

    def fill(books: Books) -> None:
        assets = [
            books.asset(f"AL-{n}", customer_id=f"CU-{n % CUSTOMERS}", product=random.choice(PRODUCTS))
            for n in range(ASSETS)
        ]
        for number in range(120):
            place, day = random.randrange(ASSETS), FIRST + timedelta(random.randrange(12))
            status = random.choice(["Loaded", "Rated", "Error", "Error"])
            code = random.choice(["no_price", "no_tier"]) if status == "Error" else None
            by = {"code": code, "message": code, "error_by": code and "draft"}
            books.usage_input(assets[place], f"IN-{number}", status=status, usage_date=day, **by)

    write(fill)
    delete_usage_inputs(
        app,
        [row["usage_input_id"] for row in list_usage_inputs(app, status="Loaded") if random.random() < 0.3],
        actor=ACTOR,
    )
    assets = {row["asset_line_item_id"]: row for row in list_assets(app)}
    for row in list_usage_inputs(app):
        asset = assets[row["asset_line_item_id"]]
        known.append({**row, "customer_id": asset["customer_id"], "product": asset["product"]})
    return known


def list_assets(app: Application) -> list[dict[str, Any]]:
    from batchwright.operations.billing.asset_line_items import list_asset_line_items

    return list(list_asset_line_items(app))


def some_filter(random: Random) -> list[tuple[str, str]]:
    choices = {
        "status": ["Loaded", "Rated", "Error"],
        "code": ["no_price", "no_tier", "no_contract"],
        "customer_id": [f"CU-{n}" for n in range(CUSTOMERS)],
        "asset_line_item_id": [f"AL-{n}" for n in range(ASSETS)],
        "from": ["2023-06-01", "2023-06-04"],
        "before": ["2023-06-06", "2023-06-12"],
    }
    pairs = []
    for name, values in choices.items():
        if random.random() < 0.35:
            several = 1 if name in ("from", "before") else random.choice([1, 1, 2])
            pairs += [(name, value) for value in random.sample(values, several)]
    return pairs


def fits(row: dict[str, Any], pairs: list[tuple[str, str]]) -> bool:
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    day_from, day_before = query.pop("from", [""])[0], query.pop("before", ["9"])[0]
    return day_from <= row["usage_date"] < day_before and all(
        row[name] in values for name, values in query.items()
    )


@pytest.mark.on_both
def test_pages_of_any_filter_hold_each_input_that_fits_once(
    app: Application, stock: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_filter, "MOST_LOOKED_AT", 17)
    monkeypatch.setattr(input_filter, "ASSETS_AT_A_TIME", 2)
    monkeypatch.setattr(input_filter, "MOST_ASSETS", 4)
    random, seen_short = Random(4), 0
    for _ in range(depth(40, 400)):
        pairs, limit = some_filter(random), random.choice([1, 3, 10, 100])
        expected = {row["usage_input_id"] for row in stock if fits(row, pairs)}
        found, after, more = list[str](), None, True
        while more:
            page = usage_inputs_page(app, pairs, limit=limit, after=after)
            assert len(page.items) <= limit
            seen_short += len(page.items) < limit and page.next is not None
            found += [row["usage_input_id"] for row in page.items]
            after, more = page.next, page.next is not None
        assert sorted(found) == sorted(expected), pairs
        text = ",".join(f"{name}={value}" for name, value in pairs)
        assert [row["usage_input_id"] for row in list_usage_inputs(app, where=text or None)] == found
    assert seen_short


def test_a_list_shows_each_input_as_it_is_shown_alone(app: Application, stock: list[dict[str, Any]]) -> None:
    for pairs in ([], [("status", "Error")], [("customer_id", "CU-1")], [("from", "2023-06-03")]):
        for row in usage_inputs_page(app, pairs, limit=20).items:
            assert row == show_usage_input(app, row["usage_input_id"])


def test_a_cursor_of_another_filter_or_of_none_is_refused(
    app: Application, stock: list[dict[str, Any]]
) -> None:
    after = usage_inputs_page(app, [("status", "Error")], limit=2).next
    assert after is not None
    same = usage_inputs_page(app, [("status", "Error"), ("status", "Error")], limit=2, after=after)
    assert same.items
    for pairs, cursor in (([("status", "Rated")], after), ([], after), ([("status", "Error")], after[:-1])):
        with pytest.raises(Refused) as refused:
            usage_inputs_page(app, pairs, after=cursor)
        assert refused.value.field == "after"


def test_an_unknown_customer_asset_or_product_is_refused(
    app: Application, stock: list[dict[str, Any]]
) -> None:
    for name in ("customer_id", "asset_line_item_id", "product"):
        with pytest.raises(Refused, match="nobody") as refused:
            list_usage_inputs(app, where=f"{name}=nobody")
        assert refused.value.field == name


@pytest.mark.parametrize(
    ("pairs", "index"),
    [
        ([], None),
        ([("status", "Loaded")], "ix_usage_input_not_rated"),
        ([("status", "Error"), ("from", "2023-06-03")], "ix_usage_input_not_rated"),
        ([("code", "no_price")], "ix_usage_input_error_code"),
        ([("status", "Error"), ("code", "no_price"), ("before", "2023-06-03")], "ix_usage_input_error_code"),
        ([("from", "2023-06-03")], "ix_usage_input_usage_date"),
        ([("status", "Rated"), ("before", "2023-06-03")], "ix_usage_input_usage_date"),
        ([("asset_line_item_id", "AL-1")], "ix_usage_input_asset_key_id"),
        ([("customer_id", "CU-1"), ("status", "Error")], "ix_usage_input_error"),
        ([("product", "data"), ("code", "no_tier")], "ix_usage_input_error"),
    ],
)
def test_a_page_is_read_in_the_order_of_an_index(
    app: Application, stock: list[dict[str, Any]], pairs: list[tuple[str, str]], index: str | None
) -> None:
    if not app.database.is_sqlite:
        pytest.skip("PostgreSQL reads tables of this size whole; bench/pages shows its plans")
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM usage_input" in statement and not statement.startswith("EXPLAIN"):
            plans.extend(
                row[-1]
                for row in connection.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            )

    event.listen(app.database.engine, "before_cursor_execute", explain)
    try:
        first = usage_inputs_page(app, pairs, limit=2)
        usage_inputs_page(app, pairs, limit=2, after=first.next)
    finally:
        event.remove(app.database.engine, "before_cursor_execute", explain)
    assert first.next
    assert not [line for line in plans if "TEMP B-TREE" in line], plans
    assert index is None or any(f"INDEX {index} " in line for line in plans), plans
