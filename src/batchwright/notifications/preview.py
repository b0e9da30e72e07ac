"""A mail as it would look, about a run that never was: for `mail preview` and for work on templates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

from batchwright.notifications.compose import Composer
from batchwright.notifications.outbox import WAITING, Mail
from batchwright.notifications.records import Row, gather

_OK = 498
_FAULTS = (
    ("no_price", "No price of NET-PLAN is in force on 2026-07-08 in price book PB-1"),
    ("uom_mismatch", "The input is in Gallon, the price of NET-PLAN is in Each"),
)


def compose_preview(
    composer: Composer,
    *,
    job: str,
    type: str,
    now: datetime,
    base_url: str | None,
    database: str,
    error_note: str = "",
) -> EmailMessage:
    """The mail that a run of ``job``, called ``type`` by people, could end with: 498 records processed, 2 errored."""
    facts = _facts(job, type, now, base_url, database) | {"error_note": error_note}
    mail = Mail(
        key=0,
        mail_id="ML-00000000",
        run_key=None,
        run_id="JR-00000000",
        kind="run_ended",
        recipient="jane@example.com",
        status=WAITING,
        message_id="<preview@localhost>",
        attempts=0,
        next_attempt_at=now,
        error=None,
        created_at=now,
        sent_at=None,
        facts=facts,
    )
    records = gather(_outcomes, "JR-00000000", composer.attachment_limit)
    return composer.compose(mail, records, now)


def _facts(job: str, type: str, now: datetime, base_url: str | None, database: str) -> dict[str, Any]:
    return {
        "run_id": "JR-00000000",
        "job": job,
        "type": type,
        "mode": "batch",
        "status": "Completed",
        "actor": "jane",
        "reason": "A preview of this mail",
        "total": _OK + len(_FAULTS),
        "processed": _OK,
        "errored": len(_FAULTS),
        "skipped": 0,
        "not_reached": 0,
        "totals": {"amount": {"USD": "4980.00"}},
        "warnings": [{"code": "example", "message": "This run never was.", "record_id": None}],
        "started_at": (now - timedelta(minutes=3, seconds=5)).isoformat(),
        "ended_at": now.isoformat(),
        "duration_seconds": 185,
        "database": database,
        "base_url": base_url,
    }


def _outcomes(run_id: str, outcome: str) -> Iterator[Row]:
    if outcome == "error":
        for number, (code, message) in enumerate(_FAULTS, start=_OK + 1):
            yield _row(number, "error", code, message, None)
        return
    for number in range(1, _OK + 1):
        yield _row(number, "ok", None, None, "10.00")


def _row(number: int, outcome: str, code: str | None, message: str | None, amount: str | None) -> Row:
    currency = "USD" if amount else None
    return {
        "record_id": f"EXAMPLE-{number:04d}",
        "outcome": outcome,
        "code": code,
        "message": message,
        "amount": amount,
        "currency": currency,
        "customer_id": "EXAMPLE",
        "customer_name": "A customer",
    }
