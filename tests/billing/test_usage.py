"""An asset's usage in hand: schedules, windows, order and the first fault that counts. No database takes part."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain, combinations
from typing import Any

import pytest

from batchwright.billing.catalog import Catalog, ContractRevision, PriceRevision
from batchwright.billing.counts import Counts, Share
from batchwright.billing.money import BIGINT_MAX
from batchwright.billing.periods import Day
from batchwright.billing.rating import Price
from batchwright.billing.records import assets_and_inputs as rows
from batchwright.billing.records.assets_and_inputs import AssetRow, InputRow, ScheduleRow
from batchwright.billing.records.counts import Count
from batchwright.billing.usage import AssetUsage, Rated, rate_assets

BOOK, CUSTOMER = 5, 3
NO_COUNTS = Counts()
ASSET = AssetRow(
    *(1, "AL-1", CUSTOMER, None, "data"),
    *("2023-01-01", "2023-12-31", "2023-01-01", None, "USD"),
)
INPUT = InputRow(1, "2023-06-05", 1, "10", "Each", None)
CONTRACT = ContractRevision(
    *(7, CUSTOMER, BOOK, "USD", "2000-01-01", None, True, Decimal(0), frozenset()),
)
PER_UNIT: Mapping[str, Any] = {"model": "per_unit", "unit_price": "2"}
TIERED: Mapping[str, Any] = {
    "model": "tiered",
    "tiers": [{"to": "10", "unit_price": "3"}, {"to": None, "unit_price": "1"}],
}
FLAT: Mapping[str, Any] = {"model": "flat", "flat_fee": "95"}


def month(number: int, status: str = "Pending Billing", **values: Any) -> ScheduleRow:
    """A usage schedule of a month of 2023 of 28 days, in a window of the whole year."""
    start, end = f"2023-{number:02}-01", f"2023-{number:02}-28"
    pending = status == "Pending Billing"
    row = ScheduleRow(1, start, pending, number, end, "0", 0, False, status, "2023-01-01", "2023-12-31")
    return row._replace(**values)


def used(key: int, day: str, quantity: str, **values: Any) -> InputRow:
    return INPUT._replace(key=key, usage_date=day, quantity=quantity, **values)


def priced(price: Mapping[str, Any], *, indexed: bool = False, currency: str = "USD") -> PriceRevision:
    return PriceRevision(9, "2000-01-01", "Each", indexed, currency, Price.from_mapping(price), 9)


def good(usage: AssetUsage) -> list[Rated]:
    return [Rated._make(row) for row in usage.rated]


def amounts(usage: AssetUsage) -> list[int]:
    return [one.amount for one in good(usage)]


def priors(usage: AssetUsage) -> list[Decimal]:
    return [Decimal(one.prior_quantity or 0) for one in good(usage)]


def usage_of(
    inputs: Sequence[InputRow],
    schedules: Sequence[ScheduleRow],
    price: PriceRevision,
    *,
    asset: AssetRow = ASSET,
    contracts: Sequence[ContractRevision] = (CONTRACT,),
    later: Sequence[PriceRevision] = (),
    counts: Counts = NO_COUNTS,
) -> AssetUsage:
    catalog = Catalog(contracts, {(BOOK, "data"): [price, *later]})
    [usage] = rate_assets([asset], inputs, sorted(schedules), catalog, counts)
    return usage


# Which code an input gets


@dataclass(frozen=True)
class Case:
    """An input that would be good, and all it is rated with."""

    asset: AssetRow = ASSET
    input: InputRow = INPUT
    schedules: tuple[ScheduleRow, ...] = (month(6),)
    contracts: tuple[ContractRevision, ...] = (CONTRACT,)
    price: Mapping[str, str | None] = field(default_factory=lambda: {"to": None, "unit_price": "2"})
    price_from: Day = "2000-01-01"

    def codes(self) -> list[str]:
        price = Price.from_mapping({"model": "volume", "tiers": [self.price]})
        revision = PriceRevision(9, self.price_from, "Each", False, "USD", price, 9)
        usage = usage_of([self.input], self.schedules, revision, asset=self.asset, contracts=self.contracts)
        assert len(usage.rated) + len(usage.bad) == 1
        return [bad.code for bad in usage.bad]


Fault = Callable[[Case], Case]
# In the order of the table in docs/draft-rating.md.
FAULTS: dict[str, Fault] = {
    "asset_not_active": lambda case: replace(case, asset=case.asset._replace(end_date="2023-06-04")),
    "before_first_billing_date": lambda case: replace(
        case, asset=case.asset._replace(first_billing_date="2023-06-06")
    ),
    "no_usage_schedule": lambda case: replace(case, schedules=()),
    "superseded_only": lambda case: replace(case, schedules=(month(6, "Superseded"),)),
    "no_contract": lambda case: replace(case, contracts=()),
    "no_price": lambda case: replace(case, price_from="2023-06-06"),
    "uom_mismatch": lambda case: replace(case, input=case.input._replace(product_uom="Gallon")),
    "negative_quantity": lambda case: replace(case, input=case.input._replace(quantity="-10")),
    "no_tier": lambda case: replace(case, price={**case.price, "to": "5"}),
    "amount_out_of_range": lambda case: replace(case, price={**case.price, "unit_price": "9" * 18}),
}
EXCLUSIVE = (
    # The one says that there is a schedule, the other that there is none.
    {"no_usage_schedule", "superseded_only"},
    # -10 lies in the first tier.
    {"negative_quantity", "no_tier"},
)


def test_of_several_faults_the_first_in_the_contract_s_order_is_given() -> None:
    names = list(FAULTS)
    tried = 0
    for chosen in chain.from_iterable(combinations(names, size) for size in range(1, len(names) + 1)):
        if any(pair <= set(chosen) for pair in EXCLUSIVE):
            continue
        case = Case()
        for name in chosen:
            case = FAULTS[name](case)
        assert case.codes() == [chosen[0]], chosen
        tried += 1
    assert tried > 500


def test_the_positions_in_plain_rows_are_those_of_their_fields() -> None:
    of_inputs = {"asset_key": rows.ASSET_KEY, "usage_date": rows.USAGE_DATE, "unusual": rows.UNUSUAL}
    of_schedules = {
        "asset_key": rows.ASSET_KEY,
        "start": rows.START,
        "pending": rows.PENDING,
        "key": rows.SCHEDULE_KEY,
        "end": rows.END,
        "actual_quantity": rows.ACTUAL_QUANTITY,
        "rated_inputs": rows.RATED_INPUTS,
        "has_draft": rows.HAS_DRAFT,
        "status": rows.STATUS,
        "window_start": rows.WINDOW,
    }
    assert of_inputs == {name: InputRow._fields.index(name) for name in of_inputs}
    assert of_schedules == {name: ScheduleRow._fields.index(name) for name in of_schedules}
    assert ScheduleRow._fields[rows.WINDOW :] == ("window_start", "window_end")


def test_an_input_without_a_fault_is_good() -> None:
    assert Case().codes() == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("asset_not_active", "AL-1 is active from 2023-01-01 to 2023-06-04, not on 2023-06-05"),
        ("before_first_billing_date", "2023-06-05 is before the first billing date 2023-06-06 of AL-1"),
        ("no_usage_schedule", "no usage schedule of AL-1 covers 2023-06-05"),
        ("superseded_only", "only superseded usage schedules cover 2023-06-05"),
        ("no_contract", "no active contract covers AL-1 on 2023-06-05"),
        ("no_price", "the price book has no price for data on 2023-06-05"),
        ("uom_mismatch", "the input is in Gallon, its price in Each"),
        ("negative_quantity", "quantity -10 is negative: give a quantity of zero or more"),
        ("no_tier", "quantity 10 is beyond the last tier, which ends at 5: add a tier, or open the last"),
        ("amount_out_of_range", "is beyond 92233720368547758.07, the largest that can be kept"),
    ],
)
def test_a_message_names_what_is_wrong(code: str, said: str) -> None:
    case = FAULTS[code](Case())
    price = replace(priced({"model": "volume", "tiers": [case.price]}), effective_from=case.price_from)
    usage = usage_of([case.input], case.schedules, price, asset=case.asset, contracts=case.contracts)
    assert said in usage.bad[0].message


def test_a_price_in_another_currency_than_the_asset_s_is_no_price() -> None:
    usage = usage_of([INPUT], [month(6)], priced(PER_UNIT, currency="EUR"))
    assert [(bad.code, bad.message) for bad in usage.bad] == [
        ("no_price", "the price in force is in EUR, AL-1 bills in USD")
    ]


def test_an_input_after_the_asset_s_end_is_bad_beside_one_before_it_on_the_same_schedule() -> None:
    # A schedule taken over from elsewhere may reach beyond the asset.
    asset = ASSET._replace(end_date="2023-06-10")
    inputs = [used(1, "2023-06-09", "1"), used(2, "2023-06-11", "1")]
    usage = usage_of(inputs, [month(6)], priced(PER_UNIT), asset=asset)
    assert [one.key for one in good(usage)] == [1]
    assert [(bad.input.key, bad.code) for bad in usage.bad] == [(2, "asset_not_active")]


def test_an_input_on_the_first_and_last_day_of_a_schedule_falls_on_it() -> None:
    inputs = [used(1, "2023-06-01", "1"), used(2, "2023-06-28", "1")]
    usage = usage_of(inputs, [month(5), month(6), month(7)], priced(PER_UNIT))
    assert {key: posting.inputs for key, posting in usage.postings.items()} == {6: 2}


def test_late_usage_falls_on_the_pending_schedule_beside_the_invoiced_one() -> None:
    for keys in ((6, 60), (60, 6)):
        schedules = [month(6, "Invoiced", key=keys[0]), month(6, key=keys[1])]
        for order in (schedules, schedules[::-1]):
            assert list(usage_of([INPUT], order, priced(PER_UNIT)).postings) == [keys[1]]


# Sums


def test_a_schedule_sums_what_falls_on_it() -> None:
    inputs = [
        used(1, "2023-06-05", "1.5"),
        used(2, "2023-06-06", "2"),
        used(3, "2023-07-01", "4"),
    ]
    usage = usage_of(inputs, [month(6), month(7)], priced(PER_UNIT))
    assert {key: (posting.quantity, posting.fee) for key, posting in usage.postings.items()} == {
        6: (Decimal("3.5"), 700),
        7: (Decimal(4), 800),
    }


def test_a_schedule_on_which_only_bad_inputs_fell_is_touched_and_sums_nothing() -> None:
    usage = usage_of([INPUT._replace(product_uom="Gallon")], [month(6)], priced(PER_UNIT))
    assert [(key, posting.inputs) for key, posting in usage.postings.items()] == [(6, 0)]


def test_an_input_that_takes_a_schedule_beyond_its_limit_is_bad_and_later_ones_that_fit_are_good() -> None:
    price = priced({"model": "per_unit", "unit_price": "0.01"})
    most = str(BIGINT_MAX - 10)
    inputs = [used(key, f"2023-06-{key:02}", quantity) for key, quantity in enumerate((most, "11", "10"), 1)]
    usage = usage_of(inputs, [month(6)], price)
    assert [(bad.input.key, bad.code) for bad in usage.bad] == [(2, "amount_out_of_range")]
    assert "the schedule 2023-06-01 to 2023-06-28" in usage.bad[0].message
    assert usage.postings[6].fee == BIGINT_MAX


def test_a_bad_input_does_not_count_towards_the_window() -> None:
    inputs = [used(1, "2023-06-01", "8", product_uom="Gallon"), used(2, "2023-06-02", "4")]
    usage = usage_of(inputs, [month(6)], priced(TIERED, indexed=True))
    assert (priors(usage), amounts(usage)) == ([Decimal(0)], [1200])


def test_quantities_of_thirty_digits_lose_none_of_them() -> None:
    long = "999999999999999999.999999999999"
    price = priced({"model": "percentage", "percentage": "0.000000000007"}, indexed=True)
    inputs = [used(key, f"2023-06-{key:02}", long) for key in (1, 2, 3)]
    usage = usage_of(inputs, [month(6, actual_quantity="0.000000000001")], price)
    assert priors(usage) == [
        Decimal("0.000000000001"),
        Decimal("1000000000000000000"),
        Decimal("1999999999999999999.999999999999"),
    ]
    assert usage.postings[6].quantity == Decimal("2999999999999999999.999999999997")
    assert amounts(usage) == [7_000_000] * 3  # 70,000 dollars less 7e-26, rounded once


# Windows


def test_the_window_goes_on_across_the_schedules_of_a_billing_period() -> None:
    inputs = [used(1, "2023-06-05", "8"), used(2, "2023-07-05", "4"), used(3, "2023-08-05", "1")]
    usage = usage_of(inputs, [month(6), month(7), month(8)], priced(TIERED, indexed=True))
    assert priors(usage) == [Decimal(0), Decimal(8), Decimal(12)]
    assert amounts(usage) == [2400, 800, 100]


def test_each_billing_period_has_its_own_window() -> None:
    halves = [month(6, window_end="2023-06-30"), month(7, window_start="2023-07-01")]
    inputs = [used(1, "2023-06-05", "8"), used(2, "2023-07-05", "4")]
    usage = usage_of(inputs, halves, priced(TIERED, indexed=True))
    assert priors(usage) == [Decimal(0), Decimal(0)]


def test_what_was_rated_in_the_window_counts_whatever_its_date_and_its_schedule_s_status() -> None:
    schedules = [
        month(5, "Invoiced", actual_quantity="3"),
        month(6, actual_quantity="4"),
        month(7, actual_quantity="5"),
    ]
    usage = usage_of([INPUT], schedules, priced(TIERED, indexed=True))
    assert priors(usage) == [Decimal(12)]


def test_what_hangs_on_superseded_schedules_does_not_count() -> None:
    schedules = [month(6, "Superseded", actual_quantity="9", key=60), month(6)]
    assert priors(usage_of([INPUT], schedules, priced(TIERED, indexed=True))) == [Decimal(0)]


def test_rated_inputs_in_hand_do_not_count_twice() -> None:
    inputs = [
        used(1, "2023-06-01", "8", unusual="Rated"),
        used(2, "2023-06-02", "4"),
        used(3, "2023-06-03", "2", unusual="Rated"),
    ]
    counts = Counts([Count(6, 9, "13", 3)], [Share(6, 9, Decimal(8)), Share(6, 9, Decimal(2))])
    june = month(6, actual_quantity="13", rated_inputs=3)
    usage = usage_of(inputs, [june], priced(TIERED, indexed=True), counts=counts)
    # 13 were rated, 10 of them in hand: 3 came from others.
    assert priors(usage) == [Decimal(3), Decimal(11), Decimal(15)]


def test_a_window_counts_for_each_price_by_itself_and_goes_on_when_one_comes_back() -> None:
    flat = replace(priced(FLAT, indexed=True), key=10, counts_as=10, effective_from="2023-06-10")
    tiered = priced(TIERED, indexed=True)
    back = replace(tiered, key=11, effective_from="2023-06-20")
    days = ("2023-06-01", "2023-06-10", "2023-06-11", "2023-06-20")
    inputs = [used(key, day, "8") for key, day in enumerate(days, 1)]
    usage = usage_of(inputs, [month(6)], tiered, later=[flat, back])
    assert [one.prior_quantity for one in good(usage)] == [None, None, "8", "8"]
    assert amounts(usage) == [2400, 9500, 0, 2 * 300 + 6 * 100]
    tallies = usage.postings[6].tallies
    assert {name: (str(tally.quantity), tally.inputs) for name, tally in tallies.items()} == {
        9: ("16", 2),
        10: ("16", 2),
    }


def test_what_was_counted_for_another_price_is_no_use_of_this_one() -> None:
    schedules = [month(5, actual_quantity="9", rated_inputs=2), month(6, actual_quantity="4", rated_inputs=1)]
    counts = Counts([Count(5, 9, "3", 1), Count(5, 8, "6", 1), Count(6, 9, "4", 1)])
    assert priors(usage_of([INPUT], schedules, priced(TIERED, indexed=True), counts=counts)) == [Decimal(7)]


@pytest.mark.parametrize(
    ("first_day", "expected"), [("2023-06-01", 1), ("2023-05-01", 5), ("2023-06-02", 5), ("2023-06-05", 5)]
)
def test_an_imported_quantity_counts_for_the_price_in_force_on_the_schedule_s_first_day(
    first_day: Day, expected: int
) -> None:
    # May was imported with 4, of June's 3 one was rated. Where May had no price, its quantity counts for every one.
    schedules = [month(5, actual_quantity="4"), month(6, actual_quantity="1", rated_inputs=1)]
    june = replace(priced(TIERED, indexed=True), effective_from=first_day)
    earlier = replace(june, key=8, counts_as=8, effective_from="2023-05-01")
    counts = Counts([Count(6, 9, "1", 1)])
    prices = [earlier, june] if first_day == "2023-06-01" else [june]
    usage = usage_of([INPUT], schedules, prices[0], later=prices[1:], counts=counts)
    assert priors(usage) == [Decimal(expected)]


def test_a_schedule_imported_with_less_than_was_rated_since_counts_what_was_rated() -> None:
    counts = Counts([Count(6, 9, "8", 1)], [Share(6, 9, Decimal(8))])
    inputs = [used(1, "2023-06-01", "8", unusual="Rated")]
    june = month(6, actual_quantity="5", rated_inputs=1)
    assert priors(usage_of(inputs, [june], priced(TIERED, indexed=True), counts=counts)) == [Decimal(0)]


def test_a_first_input_of_nothing_pays_the_window_s_fee_and_the_next_one_does_not() -> None:
    inputs = [used(1, "2023-06-01", "0"), used(2, "2023-06-02", "4"), used(3, "2023-07-02", "4")]
    usage = usage_of(inputs, [month(6), month(7)], priced(FLAT, indexed=True))
    assert amounts(usage) == [9500, 0, 0]
    assert [one.prior_quantity for one in good(usage)] == [None, "0", "4"]


def test_without_indexing_each_input_stands_alone_and_pays_its_own_fee() -> None:
    inputs = [used(1, "2023-06-01", "8"), used(2, "2023-06-02", "4")]
    assert amounts(usage_of(inputs, [month(6)], priced(FLAT))) == [9500, 9500]
    assert amounts(usage_of(inputs, [month(6)], priced(TIERED))) == [2400, 1200]


@pytest.mark.parametrize("indexed", [True, False])
def test_what_is_included_is_spent_once_in_a_window_indexing_or_not(indexed: bool) -> None:
    price = priced({**PER_UNIT, "included_quantity": "10"}, indexed=indexed)
    inputs = [used(1, "2023-06-01", "8"), used(2, "2023-07-02", "4"), used(3, "2023-07-03", "1")]
    assert amounts(usage_of(inputs, [month(6), month(7)], price)) == [0, 400, 200]


def test_what_was_rated_before_has_spent_of_what_is_included() -> None:
    price = priced({**PER_UNIT, "included_quantity": "10"})
    assert amounts(usage_of([INPUT], [month(6, actual_quantity="7")], price)) == [1400]


def test_a_bill_has_the_lines_of_the_amount_that_the_run_wrote() -> None:
    contract = replace(CONTRACT, discount_percent=Decimal("33.3"))
    inputs = [used(1, "2023-06-01", "8.125"), used(2, "2023-06-02", "4.001")]
    usage = usage_of(inputs, [month(6)], priced(TIERED, indexed=True), contracts=[contract])
    for one in good(usage):
        net = one.net()
        assert net.amount_minor == one.amount
        assert sum(line.amount for line in net.lines) == Decimal(one.amount).scaleb(-2)
    assert [line.key for line in good(usage)[0].net().lines] == ["tier:1:usage", "discount", "rounding"]


def test_each_asset_s_inputs_fall_on_its_own_schedules() -> None:
    assets = [ASSET._replace(key=key) for key in (1, 2, 3)]
    inputs = [INPUT._replace(asset_key=asset, key=key) for asset, key in ((1, 4), (1, 5), (3, 1))]
    schedules = [month(6, asset_key=key, key=10 * key) for key in (1, 2, 3)]
    catalog = Catalog([CONTRACT], {(BOOK, "data"): [priced(PER_UNIT)]})
    usages = rate_assets(assets, inputs, schedules, catalog, NO_COUNTS)
    assert [
        (usage.asset.key, [one.key for one in good(usage)], list(usage.postings)) for usage in usages
    ] == [
        (1, [4, 5], [10]),
        (2, [], []),
        (3, [1], [30]),
    ]


def test_nothing_that_was_rated_waits_for_the_garbage_collector() -> None:
    counts = Counts()
    held = weakref.ref(counts)
    gc.disable()
    try:
        usage = usage_of([INPUT], [month(6)], priced(PER_UNIT, indexed=True), counts=counts)
        assert amounts(usage) == [2000]
        del usage, counts
        assert held() is None
    finally:
        gc.enable()
