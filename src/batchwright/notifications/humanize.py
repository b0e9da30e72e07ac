"""How a mail says numbers, times and names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def grouped(number: str) -> str:
    """A number with commas between thousands from five digits on: ``6000.00``, ``12,345.00``.

    Four digits have no comma, as in commands and files.
    """
    sign = "-" if number.startswith("-") else ""
    whole, point, rest = number.removeprefix("-").partition(".")
    if whole.isdigit() and len(whole) > 4:
        whole = f"{int(whole):,}"
    return f"{sign}{whole}{point}{rest}"


def count(number: int | None) -> str:
    """``498``, ``1,000,000``; ``unknown`` where a run ended before it had counted."""
    return "unknown" if number is None else grouped(str(number))


def counted(number: int, noun: str) -> str:
    """``1 usage input``, ``2 usage inputs``."""
    return f"{count(number)} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """``usage inputs``, ``entries``, ``boxes``."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def duration(seconds: float | None) -> str:
    """The two largest units: ``3 minutes 5 seconds``, ``1 day 2 hours``, ``less than a second``."""
    if seconds is None:
        return "unknown"
    left = int(seconds)
    if left < 1:
        return "less than a second"
    parts: list[str] = []
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number or parts:
            parts.append(counted(number, unit) if number else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part)


def instant(text: str | None) -> str:
    """``2026-11-21 23:05:12 UTC`` from ISO 8601 with a zone; ``not started`` is the caller's to say."""
    if text is None:
        return ""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def heading(name: str) -> str:
    """``Draft fee amount`` from ``draft_fee_amount``, ``Draft usage rating`` from ``draft-usage-rating``."""
    text = name.replace("_", " ").replace("-", " ").strip()
    return text[:1].upper() + text[1:]


def one_line(text: str | None, limit: int = 300) -> str:
    """Text from outside on one line, without control characters, cut to ``limit`` characters."""
    if not text:
        return ""
    clean = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(clean.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def months(listed: Iterable[str] | None) -> str:
    """Months (YYYY-MM, in order), those that follow each other as a span: ``2023-01 to 2023-06, 2023-09``."""
    spans: list[list[str]] = []
    for month in listed or ():
        if spans and _number(month) == _number(spans[-1][-1]) + 1:
            spans[-1][1:] = [month]
        else:
            spans.append([month])
    return ", ".join(" to ".join(span) for span in spans)


def _number(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:])


def database(facts: Mapping[str, Any]) -> str:
    """The database that a mail is about, by the label that people know, with its place: "Production (…)"."""
    label, place = facts.get("label"), facts.get("database") or ""
    return f"{label} ({place})" if label else place


def page(facts: Mapping[str, Any], path: str) -> str:
    """The address of a page of the console, empty where there is none."""
    base = str(facts.get("base_url") or "").rstrip("/")
    return f"{base}{path}" if base else ""


def footer(why: str, facts: Mapping[str, Any]) -> str:
    """Why the reader gets the mail, and where that is so that mail is only written to files."""
    to_files = " Mail is only written to files here; to have it sent, set mail.transport to smtp."
    return why + to_files if facts.get("mail_only_to_files") else why


def preferences(facts: Mapping[str, Any]) -> str:
    """Where the reader chooses what mail they get, where there is a console; the end of a footer."""
    chosen = page(facts, "/preferences")
    return f" Which mail you get is your choice: {chosen}" if chosen else ""
