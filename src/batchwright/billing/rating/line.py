"""The lines that say how an amount came about."""

from decimal import Decimal
from typing import NamedTuple, TypeAlias

# What a price model gives for each line: kind, tier (from 1; 0 = none), quantity, unit price, amount. A plain
# tuple, because a run rates a million inputs and few of their lines are ever looked at.
Part: TypeAlias = tuple[str, int, Decimal | None, Decimal | None, Decimal]
Charge: TypeAlias = tuple[Decimal, tuple[Part, ...]]


class RatingLine(NamedTuple):
    """One named part of an amount, in unrounded major units; the lines of a rating sum to its amount.

    `kind` is `included`, `usage`, `package`, `fee`, `paid` (taken off, because the window paid it before),
    `minimum`, `maximum`, `discount` or `rounding`. `key` is the kind, with the tier where there is one
    ("tier:2:usage"): unique in its rating and the same in every rating by the same price, so that two ratings
    can be compared.
    """

    key: str
    kind: str
    tier: int | None
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal


def to_line(part: Part) -> RatingLine:
    """The line that a part stands for."""
    kind, tier, quantity, unit_price, amount = part
    if tier:
        return RatingLine(f"tier:{tier}:{kind}", kind, tier, quantity, unit_price, amount)
    return RatingLine(kind, kind, None, quantity, unit_price, amount)
