"""Bars of what is drafted beside what is rated, as a drawing that the server makes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from batchwright.operations.views import View

MOST: Final = 12
"""Groups of bars: of more lines the last ones."""
STEP: Final = 84
BAR: Final = 30
HEIGHT: Final = 150


class Bar(NamedTuple):
    """A bar in the units of its drawing; ``kind`` is draft or rated."""

    x: int
    y: float
    height: float
    kind: str


class Group(NamedTuple):
    """The bars of a line, around ``middle``."""

    label: str
    says: str
    middle: int
    bars: list[Bar]


class Chart(NamedTuple):
    """The drawing: its width, where zero lies, the largest amount in figures as a text, and the bars."""

    width: int
    zero: float
    largest: str
    groups: list[Group]


def chart_of(lines: Sequence[View], name: str) -> Chart | None:
    """The chart of lines of a forecast in one currency, `name` naming each; None where there is nothing to draw."""
    shown = lines[-MOST:]
    amounts = [Decimal(text) for line in shown for text in _texts(line) if text is not None]
    if not any(amounts):
        return None
    top, bottom = max(*amounts, Decimal()), min(*amounts, Decimal())
    scale = HEIGHT / float(top - bottom)
    zero = round(float(top) * scale, 1)
    groups = [_group(at, line, str(line[name]), zero, scale) for at, line in enumerate(shown)]
    return Chart(STEP * len(shown), zero, f"{max(top, -bottom):,}", groups)


def _texts(line: View) -> tuple[str | None, str | None]:
    return line["draft_fee_amount"], line["fee_amount"]


def _group(at: int, line: View, label: str, zero: float, scale: float) -> Group:
    bars = []
    for number, (kind, text) in enumerate(zip(("draft", "rated"), _texts(line), strict=True)):
        if text is not None:
            height = round(abs(float(text)) * scale, 1)
            y = zero if text.startswith("-") else zero - height
            bars.append(Bar(at * STEP + 10 + number * (BAR + 3), round(y, 1), height, kind))
    draft, rated = _texts(line)
    says = f"{label}: draft {draft or 'not forecast'}, rated {rated}"
    return Group(label if len(label) <= 12 else f"{label[:11]}…", says, at * STEP + STEP // 2, bars)
