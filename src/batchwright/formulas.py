"""CSV cells that a spreadsheet would run as a formula (OWASP: CSV injection)."""

from __future__ import annotations

import re
from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins with one of these."""

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def escape_formula(text: str) -> str:
    """The cell with a `'` before what would start a formula; a plain number stays as it is."""
    if text.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text
