"""What the outside sees: runs, outcomes, inputs, schedules as JSON values, keys always in this order.

Amounts are text with the currency's decimals, quantities text with at least two, times ISO 8601 in UTC with `Z`,
dates `YYYY-MM-DD`; a blank is `None`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping

from batchwright.billing.exact import quantity_text
from batchwright.billing.money import CurrencyError, money_text, price_text
from batchwright.billing.records.billing_schedules import SUPERSEDED
from batchwright.billing.records.restating import Restatement
from batchwright.engine.job import Preview, Warn
from batchwright.engine.ledger import RecordOutcome
from batchwright.engine.run import Run, badge
from batchwright.notifications.outbox import MailLine

Row = RowMapping | Mapping[str, Any]
"""A row that was read, or one that would be written."""
View = dict[str, Any]


def picked(source: object, names: str) -> View:
    """The fields of a row or an object by their names, the words of one text; times and dates as text.

    Not for what is streamed by the million.
    """
    if isinstance(source, Mapping):
        return {name: _shown(source[name]) for name in names.split()}
    return {name: _shown(getattr(source, name)) for name in names.split()}


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    return day(value) if isinstance(value, date) else value


def run(run: Run, *, parent_run_id: str | None, warnings: Sequence[Warn], now: datetime) -> View:
    """A run. `duration_seconds`: how long it ran or has been running (DoiT's run log), `None` before its start.

    One that is pruned has `pruned_at`, too.
    """
    return {
        **picked(run, "run_id job type mode"),
        "status": str(run.state),
        "badge": badge(run),
        **picked(run, "actor reason explanation parameters trigger schedule"),
        "parent_run_id": parent_run_id,
        **picked(run, "customer_id periods total processed errored skipped not_reached"),
        "totals": totals(run.totals),
        "warnings": [warning._asdict() for warning in warnings],
        **picked(run, "error created_at started_at ended_at"),
        "duration_seconds": _seconds(run.started_at, run.ended_at or now),
        **({} if run.pruned_at is None else {"pruned_at": instant(run.pruned_at)}),
    }


def outcome(record: RecordOutcome) -> dict[str, str | None]:
    """What became of one record of a run."""
    return {
        "record_id": record.record_id,
        "outcome": record.outcome,
        "code": record.code,
        "message": record.message,
        "amount": record.amount and _amount(record.amount.minor, record.amount.currency),
        "currency": record.amount and record.amount.currency,
    }


def restatement(restated: Restatement) -> View:
    """What a run restated beside its records."""
    return {
        "record_id": restated.record_id,
        "before": _amount(restated.before, restated.currency),
        "after": _amount(restated.after, restated.currency),
        "currency": restated.currency,
    }


def preview_line(line: Preview) -> View:
    """What a dry run would have written to one record, and what it was computed with.

    `amount` is what the record adds to the run's totals. A blank is `None`, and counts as nothing in `difference`.
    """
    before, after, currency = line.change or (None, None, None)
    blank = before is None and after is None
    return {
        **picked(line, "kind record_id customer_id"),
        "amount": line.amount and _amount(line.amount.minor, line.amount.currency),
        "currency": currency,
        "before": _change(before, currency),
        "after": _change(after, currency),
        "difference": None if blank else _change((after or 0) - (before or 0), currency),
        "detail": dict(line.detail),
    }


def mail(line: MailLine) -> View:
    """A mail of the outbox, without its facts."""
    names = "mail_id run_id kind recipient status attempts next_attempt_at error created_at sent_at"
    return picked(line, names)


def usage_input(row: Row) -> View:
    """A usage input; amounts are `None` until rated."""
    return {
        "usage_input_id": row["usage_input_id"],
        "asset_line_item_id": row["asset_line_item_id"],
        "asset_number": row["asset_number"],
        "status": row["status"],
        "code": row["code"],
        "message": row["message"],
        "quantity": quantity(row["quantity"]),
        "usage_date": day(row["usage_date"]),
        "product_uom": row["product_uom"],
        "description": row["description"],
        "currency": row["currency"],
        "rated_amount": money(row["rated_amount"], row["currency"]),
        "draft_rated_amount": money(row["draft_rated_amount"], row["currency"]),
    }


def usage_schedule(row: Row) -> View:
    """A usage schedule; its status is that of its billing schedule, its draft figures are `None` until forecast."""
    return {
        **picked(row, "usage_schedule_id billing_schedule_id asset_line_item_id"),
        **picked(row, "period_start_date period_end_date"),
        "included_quantity": quantity(row["included_quantity"]),
        "actual_quantity": quantity(row["actual_quantity"]),
        "fee_amount": money(row["fee_amount"], row["currency"]),
        "draft_rated_quantity": quantity(row["draft_rated_quantity"]),
        "draft_fee_amount": money(row["draft_fee_amount"], row["currency"]),
        **picked(row, "currency type status"),
        "superseded": row["status"] == SUPERSEDED,
    }


def billing_schedule(row: Row) -> View:
    """A billing schedule."""
    return {
        **picked(row, "billing_schedule_id asset_line_item_id period_start_date period_end_date"),
        "fee_amount": money(row["fee_amount"], row["currency"]),
        **picked(row, "ready_for_invoice_date currency type status"),
        "superseded": row["status"] == SUPERSEDED,
    }


def asset_line_item(row: Row) -> View:
    """An asset line item: the columns of its CSV file, and its currency."""
    return {
        **picked(row, "asset_line_item_id asset_number customer_id account_id product start_date end_date"),
        **picked(row, "billing_frequency usage_frequency first_billing_date price_book_id"),
        **picked(row, "selling_frequency price_type"),
        "list_price": price(row["list_price"], row["currency"]),
        "currency": row["currency"],
    }


def audit_entry(row: Row) -> View:
    """An audit entry; `before` and `after` are JSON values, and a value of another kind is shown as `damaged: …`."""
    texts = ("actor", "os_user", "door", "credential", "address", "act", "subject", "reason")
    return {
        "at": instant(row["at"]) if isinstance(row["at"], datetime) else _damaged(row["at"]),
        **{name: row[name] if isinstance(row[name], str | None) else _damaged(row[name]) for name in texts},
        **{name: _json_or_damaged(row[name]) for name in ("before", "after")},
    }


def _json_or_damaged(value: object) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value) if isinstance(value, str) else _damaged(value)
    except (ValueError, RecursionError):
        return _damaged(value)


def _damaged(value: object) -> str:
    return f"damaged: {value.hex() if isinstance(value, bytes) else value}"


def money(minor: int | None, currency: str | None) -> str | None:
    """Minor units as text. An asset whose currency is not known yet has amounts of zero only: "0.00"."""
    if minor is None:
        return None
    if currency is None:
        return "0.00"
    return money_text(minor, currency)


def price(value: Decimal | None, currency: str | None) -> str | None:
    """A price as text, exact, with the currency's decimals at least: "100.00", "0.0005"."""
    if value is None or currency is None:
        return quantity(value)
    return price_text(value, currency)


def quantity(value: Decimal | None) -> str | None:
    """A quantity as text: "20.00", "0.125"."""
    return None if value is None else quantity_text(value)


def day(value: date | None) -> str | None:
    """A date as text: "2023-06-05"."""
    return None if value is None else value.isoformat()


def instant(value: datetime | None) -> str | None:
    """An instant as text, in UTC to the millisecond: "2026-11-21T23:05:00.000Z"."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def totals(totals: object) -> dict[str, dict[str, str]]:
    """Amounts by name and currency. Those of a version that let anything through keep nobody from the other runs."""
    if not isinstance(totals, Mapping):
        return {"damaged": {"damaged": f"damaged: {totals}"}}
    return {str(name): _amounts(amounts) for name, amounts in totals.items()}


def _amounts(amounts: object) -> dict[str, str]:
    if not isinstance(amounts, Mapping):
        return {"damaged": f"damaged: {amounts}"}
    return {currency: _amount(amounts[currency], currency) for currency in sorted(amounts)}


def _change(minor: int | None, currency: str | None) -> str | None:
    return money(minor, currency) if minor is None or currency is None else _amount(minor, currency)


def _amount(minor: object, currency: str) -> str:
    """An amount that a job reported."""
    if not isinstance(minor, int):
        return f"damaged: {minor}"
    try:
        return money_text(minor, currency)
    except CurrencyError:
        return f"damaged: {minor}"


def _seconds(start: datetime | None, end: datetime) -> float | None:
    # Never less than none at all: the clock of the machine that looks may lag behind that of the one that works.
    return None if start is None else max(round((end - start).total_seconds(), 3), 0.0)
