"""How single values of the JSON answers look to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

LONGEST_BEGINNING = 60
LONGEST_SENTENCE = 120


def instant(text: str | None) -> str:
    """A time in UTC to the second, without the letters: ``2026-11-21 23:05:00``; what is damaged as it is."""
    if text is None or text.startswith("damaged"):
        return text or ""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``2 min 05 s``, ``3 h 07 min``."""
    if seconds is None:
        return ""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def megabytes(size: int | None) -> str:
    """``105 MB``."""
    return "" if size is None else f"{size / 2**20:,.0f} MB"


def beginning(value: object) -> str:
    """A JSON value cut short to what fits into a table."""
    return first_words(None if value is None else json.dumps(value, ensure_ascii=False), LONGEST_BEGINNING)


def first_words(text: str | None, longest: int = LONGEST_SENTENCE) -> str:
    """Text cut short to what fits into a table."""
    said = text or ""
    return said if len(said) <= longest else f"{said[:longest]}…"


def joined(values: Iterable[object] | None) -> str:
    """Values of a list, separated by commas."""
    return ", ".join(str(value) for value in values or ())


def totals(amounts: Mapping[str, Mapping[str, str]] | None) -> list[tuple[str, str]]:
    """Each total's name in words, and its amounts by currency: ``("draft fee amount", "USD 6000.00, EUR 1.00")``."""
    return [
        (name.replace("_", " "), joined(f"{currency} {amount}" for currency, amount in by_currency.items()))
        for name, by_currency in (amounts or {}).items()
    ]


def parameters(values: Mapping[str, object]) -> str:
    """Parameters that were given, ``name=value``; long lists are cut after five."""
    return "; ".join(
        f"{name}={_short(value)}"
        for name, value in values.items()
        if value is not None and value is not False
    )


def _short(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    return joined(value[:5]) + (f" and {len(value) - 5:,} more" if len(value) > 5 else "")
