"""What people type into the filters of lists, as addresses have it: a month in other words, a customer by name."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_NUMBERS: Final = re.compile(r"(\d{1,2})\s*[/.-]\s*(\d{4})|(\d{4})\s*[/.-]\s*(\d{1,2})", re.ASCII)
_WORDS: Final = re.compile(
    r"([a-z]{3,9})\.?,?\s*(\d{4})|(\d{4}),?\s*([a-z]{3,9})\.?", re.ASCII | re.IGNORECASE
)


def month_of(text: str) -> str | None:
    """The month as YYYY-MM: of ``10/2023``, ``2023/10``, ``Oct 2023``, ``october 2023``; None for any other text.

    A year has four digits: ``10/23`` could be a day as well.
    """
    text = text.strip()
    if found := _NUMBERS.fullmatch(text):
        month, year = found[1] or found[4], found[2] or found[3]
        return f"{year}-{int(month):02}" if 1 <= int(month) <= 12 else None
    if found := _WORDS.fullmatch(text):
        word, year = found[1] or found[4], found[2] or found[3]
        fitting = [number for number, name in enumerate(_NAMES, 1) if name.startswith(word.lower())]
        return f"{year}-{fitting[0]:02}" if len(fitting) == 1 else None
    return None
