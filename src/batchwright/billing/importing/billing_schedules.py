"""billing_schedules.csv and usage_schedules.csv, and the schedules that are made for the other new assets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, ClassVar, NamedTuple

from batchwright.billing.exact import canonical
from batchwright.billing.importing.cells import Day, Id, NotNegative, Number, YesOrNo, one_of
from batchwright.billing.importing.loader import E, Key, TableLoader, unknown
from batchwright.billing.importing.schedule_generation import make_schedules
from batchwright.billing.importing.schema import CsvLine, Fault, V, file_kind
from batchwright.billing.importing.session import ImportSession
from batchwright.billing.money import AmountOutOfRange, MoneyError, minor_digits, parse_money
from batchwright.billing.periods import Period
from batchwright.billing.records.assets import lock
from batchwright.billing.records.loading import (
    Asset,
    BillingSchedule,
    Stored,
    assets,
    billing_schedules,
    live_periods,
    stored,
    usage_periods,
    usage_schedule_keys,
)
from batchwright.billing.tables import billing_schedule, usage_schedule

Status = Annotated[str, one_of("Pending Billing", "Pending Invoice", "Invoiced", "Superseded")]
_REMEDY_AMOUNT = "write the amount with the currency's decimals"


class BillingCells(NamedTuple):
    billing_schedule_id: Id
    asset_line_item_id: Id
    period_start_date: Day
    period_end_date: Day
    fee_amount: Number
    ready_for_invoice_date: Day
    type: Annotated[str, one_of("Contracted")]
    status: Status
    superseded: YesOrNo | None


class UsageCells(NamedTuple):
    usage_schedule_id: Id
    billing_schedule_id: Id
    asset_line_item_id: Id
    period_start_date: Day
    period_end_date: Day
    included_quantity: NotNegative
    actual_quantity: NotNegative
    fee_amount: Number
    draft_rated_quantity: NotNegative | None
    draft_fee_amount: Number | None
    type: Annotated[str, one_of("Usage")]
    status: Status
    superseded: YesOrNo | None


BILLING_SCHEDULES = file_kind("billing_schedules.csv", BillingCells, all_columns=True)
USAGE_SCHEDULES = file_kind("usage_schedules.csv", UsageCells, all_columns=True)


@dataclass
class TakenOver:
    """Assets named by a line that was refused: nothing is made for them, they were to bring their own schedules."""

    refused_assets: set[str] = field(default_factory=set)
    billing_schedules_made: int = 0
    usage_schedules_made: int = 0


class _TakenOverLoader(TableLoader[V, E]):
    """Schedules taken over. They are never updated by an import: rating, set-status and amend do that."""

    updatable = False
    _assets: dict[str, Asset]

    def __init__(self, session: ImportSession, taken_over: TakenOver) -> None:
        super().__init__(session)
        self._taken_over = taken_over

    def refused(self, line: CsvLine[Any]) -> None:
        self._taken_over.refused_assets.add(line.text("asset_line_item_id") or "")

    def _lock_assets(self, ids: set[str]) -> None:
        self._assets = assets(self.connection, ids)
        lock(self.connection, [asset.key for asset in self._assets.values()])


class BillingScheduleLoader(_TakenOverLoader[BillingCells, BillingSchedule]):
    """Billing schedules taken over."""

    kind = BILLING_SCHEDULES
    table = billing_schedule
    columns: ClassVar = (
        "billing_schedule_id asset_key period_start_date period_end_date fee_amount"
        " ready_for_invoice_date type status"
    ).split()
    _live: dict[int, list[tuple[str, Period]]]

    def existing(self, chunk: Collection[BillingCells]) -> Mapping[str, BillingSchedule]:
        self._lock_assets({cells.asset_line_item_id for cells in chunk})
        self._live = live_periods(self.connection, [asset.key for asset in self._assets.values()])
        return billing_schedules(self.connection, {cells.billing_schedule_id for cells in chunk})

    def faults(self, cells: BillingCells, found: BillingSchedule | None) -> Iterator[Fault]:
        yield from _period_faults(cells)
        yield from _state_faults(cells)
        asset = self._assets.get(cells.asset_line_item_id)
        if asset is None:
            yield unknown("asset_line_item_id", "asset line item")
        else:
            yield from _amount_faults(cells, asset, ("fee_amount",))

    def conflicts(self, cells: BillingCells) -> Iterator[Fault]:
        if cells.status != "Superseded":
            others = self._live[self._assets[cells.asset_line_item_id].key]
            yield from _overlap_faults(cells, others, "billing schedule")

    def new(self, cells: BillingCells) -> list[Stored]:
        asset = self._assets[cells.asset_line_item_id]
        if cells.status != "Superseded":
            self._live[asset.key].append((cells.billing_schedule_id, _period(cells)))
        return [
            cells.billing_schedule_id,
            asset.key,
            stored(cells.period_start_date),
            stored(cells.period_end_date),
            _minor(cells.fee_amount, asset),
            stored(cells.ready_for_invoice_date),
            cells.type,
            cells.status,
        ]


class UsageScheduleLoader(_TakenOverLoader[UsageCells, Key]):
    """Usage schedules taken over, each under the billing schedule it names."""

    kind = USAGE_SCHEDULES
    table = usage_schedule
    columns: ClassVar = (
        "usage_schedule_id billing_schedule_key asset_key period_start_date period_end_date"
        " included_quantity actual_quantity fee_amount draft_rated_quantity draft_fee_amount type"
    ).split()
    _billing_schedules: dict[str, BillingSchedule]
    _periods: dict[int, list[tuple[str, Period]]]

    def __init__(self, session: ImportSession, taken_over: TakenOver, asset_ceiling: int) -> None:
        super().__init__(session, taken_over)
        self._asset_ceiling = asset_ceiling

    def existing(self, chunk: Collection[UsageCells]) -> Mapping[str, Key]:
        connection = self.connection
        self._lock_assets({cells.asset_line_item_id for cells in chunk})
        self._billing_schedules = billing_schedules(
            connection, {cells.billing_schedule_id for cells in chunk}
        )
        self._periods = usage_periods(connection, [one.key for one in self._billing_schedules.values()])
        keys = usage_schedule_keys(connection, {cells.usage_schedule_id for cells in chunk})
        return {an_id: Key(key) for an_id, key in keys.items()}

    def faults(self, cells: UsageCells, found: Key | None) -> Iterator[Fault]:
        yield from _period_faults(cells)
        yield from _state_faults(cells)
        asset = self._assets.get(cells.asset_line_item_id)
        yield from _usage_faults(cells, asset, self._billing_schedules.get(cells.billing_schedule_id))

    def conflicts(self, cells: UsageCells) -> Iterator[Fault]:
        others = self._periods[self._billing_schedules[cells.billing_schedule_id].key]
        return _overlap_faults(cells, others, "usage schedule")

    def new(self, cells: UsageCells) -> list[Stored]:
        asset = self._assets[cells.asset_line_item_id]
        billing_key = self._billing_schedules[cells.billing_schedule_id].key
        self._periods[billing_key].append((cells.usage_schedule_id, _period(cells)))
        return [
            cells.usage_schedule_id,
            billing_key,
            asset.key,
            stored(cells.period_start_date),
            stored(cells.period_end_date),
            stored(cells.included_quantity),
            stored(cells.actual_quantity),
            _minor(cells.fee_amount, asset),
            stored(cells.draft_rated_quantity),
            None if cells.draft_fee_amount is None else _minor(cells.draft_fee_amount, asset),
            cells.type,
        ]

    def finish(self) -> None:
        left_out = assets(self.connection, self._taken_over.refused_assets)
        made = make_schedules(
            self.connection, self._asset_ceiling, {asset.key for asset in left_out.values()}
        )
        self._taken_over.billing_schedules_made, self._taken_over.usage_schedules_made = made


def _minor(amount: Decimal, asset: Asset) -> int:
    """Minor units of an amount that `_amount_faults` has passed: without a currency only zero does."""
    return 0 if asset.currency is None else parse_money(canonical(amount), asset.currency)


def _period(cells: BillingCells | UsageCells) -> Period:
    return Period(cells.period_start_date, cells.period_end_date)


def _period_faults(cells: BillingCells | UsageCells) -> Iterator[Fault]:
    if cells.period_end_date < cells.period_start_date:
        problem = f"is before period_start_date {cells.period_start_date.isoformat()}"
        yield Fault("period_end_date", problem, "give a day on or after it")


def _state_faults(cells: BillingCells | UsageCells) -> Iterator[Fault]:
    if cells.superseded is not None and cells.superseded != (cells.status == "Superseded"):
        yield Fault(
            "superseded", f"does not agree with the status {cells.status}", "leave it blank, or correct one"
        )


def _amount_faults(cells: BillingCells | UsageCells, asset: Asset, columns: Sequence[str]) -> Iterator[Fault]:
    for column in columns:
        amount: Decimal | None = getattr(cells, column)
        if not amount:
            continue
        if asset.currency is None:
            remedy = "import its contract or price book before, or in the same import"
            yield Fault(column, "has no currency: the asset's is not known", remedy)
            continue
        try:
            parse_money(canonical(amount), asset.currency)
        except MoneyError:
            digits = minor_digits(asset.currency)
            yield Fault(column, f"has more than the {digits} decimals of {asset.currency}", _REMEDY_AMOUNT)
        except AmountOutOfRange:
            yield Fault(column, "is more than can be kept", "correct the amount")


def _overlap_faults(
    cells: BillingCells | UsageCells, others: Sequence[tuple[str, Period]], what: str
) -> Iterator[Fault]:
    for other_id, other in others:
        if cells.period_start_date <= other.end and other.start <= cells.period_end_date:
            problem = f"overlaps {what} {other_id} ({other.start.isoformat()} to {other.end.isoformat()})"
            remedy = "correct the days; an asset's own schedules come in the same import as the asset"
            yield Fault("period_start_date", problem, remedy)
            return


def _usage_faults(cells: UsageCells, asset: Asset | None, billing: BillingSchedule | None) -> Iterator[Fault]:
    if asset is None:
        yield unknown("asset_line_item_id", "asset line item")
    else:
        yield from _amount_faults(cells, asset, ("fee_amount", "draft_fee_amount"))
    if (cells.draft_rated_quantity is None) != (cells.draft_fee_amount is None):
        problem = "comes with a draft rated quantity, or neither is there"
        yield Fault("draft_fee_amount", problem, "give both, or leave both blank")
    if billing is None:
        yield unknown("billing_schedule_id", "billing schedule")
        return
    if asset is not None and billing.asset_key != asset.key:
        yield Fault("billing_schedule_id", "is a billing schedule of another asset", "name one of this asset")
    if cells.status != billing.status:
        problem = f"does not agree with the status {billing.status} of its billing schedule"
        yield Fault("status", problem, "a usage schedule has its billing schedule's status")
    if cells.period_start_date < billing.period.start or cells.period_end_date > billing.period.end:
        problem = (
            f"reaches out of its billing schedule's period"
            f" ({billing.period.start.isoformat()} to {billing.period.end.isoformat()})"
        )
        yield Fault("period_start_date", problem, "give days inside it")
