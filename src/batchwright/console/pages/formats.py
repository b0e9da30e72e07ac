"""How times, durations, amounts and numbers are written on pages; filters of the templates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from batchwright.operations.browsers import browser_words

BLANK = Markup('<span class="quiet">&ndash;</span>')
"""What stands for nothing: it is not 0.00."""
_ID = re.compile(r"\b([A-Z]{2}-\d{8,}|\d{4}-\d\d-\d\d(?: \d\d:\d\d UTC)?)\b")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def instant_of(asked: date | datetime | None) -> datetime | None:
    """The instant that a filter names; a day begins at midnight UTC."""
    if asked is None or isinstance(asked, datetime):
        return asked
    return datetime.combine(asked, datetime.min.time(), UTC)


def moment_of(text: str | datetime) -> datetime:
    """The instant that the JSON of an answer says, in UTC."""
    moment = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    return moment.astimezone(UTC)


@pass_context
def time(context: Context, text: str | datetime | None) -> Markup:
    """A time in the reader's zone, to the minute; with its second in UTC in the title, for who points at it."""
    zone: ZoneInfo = context["zone"]
    return _time(text, zone, zone.key if zone.key != "UTC" else "")


def utc(text: str | datetime | None) -> Markup:
    """A time in UTC, for columns that are headed so."""
    return _time(text, ZoneInfo("UTC"), "")


def in_zone(text: str | datetime | None, name: str) -> Markup:
    """A time in the zone of that name; nothing where this machine does not know the zone."""
    try:
        return _time(text, ZoneInfo(name), name)
    except (ZoneInfoNotFoundError, ValueError):
        return BLANK


def _time(text: str | datetime | None, zone: ZoneInfo, named: str) -> Markup:
    if text is None:
        return BLANK
    moment = moment_of(text)
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}Z"
    shown = f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
    title = f"{moment:%Y-%m-%d %H:%M:%S} UTC" + (f", shown in {named}" if named else "")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp, title, shown)


def wall(text: str | None) -> Markup:
    """A local time of an answer, "2026-03-29T02:30:00+02:00", as that zone's clock shows it; with seconds, if any."""
    if text is None:
        return BLANK
    moment = datetime.fromisoformat(text)
    shown = f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    stamp, title = moment.isoformat(), f"{moment:%A}, {moment:%Y-%m-%d %H:%M:%S %z}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp, title, shown)


def day(value: str | date | None) -> Markup:
    """A date of billing: no zone moves it."""
    return BLANK if value is None else Markup('<time datetime="{0}">{0}</time>').format(str(value))


def months(periods: Sequence[str] | None) -> Markup:
    """Months of billing, those one after another as a span: "2023-01 to 2024-04, 2024-06"."""
    if not periods:
        return BLANK
    spans: list[list[str]] = []
    for period in sorted(periods):
        if spans and _month(period) == _month(spans[-1][-1]) + 1:
            spans[-1][1:] = [period]
        else:
            spans.append([period])
    month = Markup('<span class="nowrap">{}</span>')
    shown = [Markup(" to ").join(map(month.format, span)) for span in spans[:3]]
    more = [f"and {len(spans) - 3} more"] if len(spans) > 3 else []
    return Markup(", ").join([*shown, *more])


def _month(period: str) -> int:
    year, _, month = period.partition("-")
    return int(year) * 12 + int(month)


def duration(seconds: float | None) -> Markup:
    """A length of time in its two largest units: "2 h 5 min", "1 min 30 s", "0.4 s"."""
    return BLANK if seconds is None else Markup('<span class="nowrap">{}</span>').format(in_words(seconds))


def ticking(seconds: float | None) -> Markup:
    """The same of what goes on: the script counts it up between two looks at the server."""
    if seconds is None:
        return BLANK
    return Markup('<span class="nowrap" data-ticks="{}">{}</span>').format(int(seconds), in_words(seconds))


def in_words(seconds: float) -> str:
    """A length of time in plain text."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))


def roughly(seconds: float) -> str:
    """What is left, in steps that a person counts in: "about 50 s", "about 1.5 min", "about 2 h"."""
    if seconds < 5:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds / 10) * 10 or 10} s"
    if seconds < 5_400:
        minutes = seconds / 60
        return f"about {round(minutes * 2) / 2:g} min" if minutes < 10 else f"about {round(minutes)} min"
    hours = seconds / 3_600
    return f"about {round(hours * 2) / 2:g} h" if hours < 48 else f"about {round(hours / 24)} days"


def how_far(share: float, began: str, ended: str) -> str:
    """Of what began then, has come that far and goes on: "41 %", and by that pace "about 20 s left"."""
    seconds = (moment_of(ended) - moment_of(began)).total_seconds()
    left = f", {roughly(seconds * (1 - share) / share)} left" if share > 0 else ""
    return f"{min(100 * share, 99):.0f} %{left}"


@pass_context
def meanwhile(context: Context, began: str, ended: str) -> str:
    """From when to when something was read, to the second, in the reader's zone: "from 14:02:01 to 14:02:09"."""
    first, last = (moment_of(text).astimezone(context["zone"]) for text in (began, ended))
    day = "%Y-%m-%d " if first.date() != last.date() else ""
    return f"from {first:{day}%H:%M:%S} to {last:{day}%H:%M:%S}"


def number(value: int | None) -> Markup:
    """A count, in groups of three digits."""
    return BLANK if value is None else Markup("{}").format(f"{value:,}")


def money(text: str | None, currency: str | None = None) -> Markup:
    """An amount as its JSON has it, in groups of three digits; its `currency` only where the column says none.

    A negative one has a plain hyphen, which spreadsheets read, and a word for who hears the page.
    """
    if text is None:
        return BLANK
    whole, point, decimals = text.removeprefix("-").partition(".")
    digits = f"{int(whole):,}{point}{decimals}" if whole.isdecimal() else text.removeprefix("-")
    minus = Markup('<span class="minus"><span class="unseen">minus </span>-</span>')
    shown = Markup("{}{}").format(minus if text.startswith("-") else "", digits)
    after = Markup(' <span class="currency">{}</span>').format(currency) if currency else ""
    return Markup('<span class="money">{}{}</span>').format(shown, after)


def amount_words(currency: str, text: str) -> str:
    """An amount with its currency in plain text: "-1,204.50 USD"."""
    whole, point, decimals = text.removeprefix("-").partition(".")
    return f"{'-' if text.startswith('-') else ''}{int(whole):,}{point}{decimals} {currency}"


def prose(text: str | None) -> Markup:
    """A sentence of ours, with what stands in backticks as code."""
    if text is None:
        return BLANK
    parts = [
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part)
        for at, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def ids(text: str) -> Markup:
    """A text in which no id of ours and no time is broken over two lines."""
    parts = enumerate(_ID.split(text))
    return Markup("").join(
        Markup('<span class="id">{}</span>').format(part) if at % 2 else escape(part) for at, part in parts
    )


def state_word(status: str) -> str:
    """The word of a run's status, as its badge has it."""
    return {"Completed": "Complete", "Preparing": "Running", "Processing": "Running"}.get(status, status)


def segment(text: str) -> str:
    """An id as one part of an address, whatever it is made of."""
    return quote(text, safe="")


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 error", "1,204 errors"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def megabytes(size: int | None) -> str | Markup:
    """``105 MB``."""
    return BLANK if size is None else f"{size / 2**20:,.0f} MB"


FILTERS: dict[str, Any] = {
    "time": time,
    "utc": utc,
    "in_zone": in_zone,
    "wall": wall,
    "day": day,
    "months": months,
    "duration": duration,
    "ticking": ticking,
    "roughly": roughly,
    "how_far": how_far,
    "meanwhile": meanwhile,
    "number": number,
    "megabytes": megabytes,
    "money": money,
    "plural": plural,
    "segment": segment,
    "state_word": state_word,
    "prose": prose,
    "ids": ids,
    "browser": browser_words,
}
