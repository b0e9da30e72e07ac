"""What can be wrong with a price or a quantity. Errors are made of their data, so they survive pickling."""

from decimal import Decimal
from typing import ClassVar

from batchwright.billing.exact import canonical

_LISTED = 10


class PriceError(ValueError):
    """A price that cannot be used. `field` names the key at fault, such as "unit_price" or "tiers[1].to"."""

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(field, problem, remedy)
        self.field = field
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; {self.remedy}"


class RatingError(ValueError):
    """A quantity that a price gives no amount for. `code` is the outcome code of the input."""

    code: ClassVar[str]


class NegativeQuantity(RatingError):
    """The input's quantity, or what came before it, is below zero."""

    code = "negative_quantity"

    def __init__(self, quantity: Decimal) -> None:
        super().__init__(quantity)
        self.quantity = quantity

    def __str__(self) -> str:
        return f"quantity {canonical(self.quantity)} is negative: give a quantity of zero or more"


class NoTier(RatingError):
    """The quantity lies beyond the last closed tier, or is not in a discrete price's table.

    `quantity` is the one looked up: less what is included and, in a window, with what came before.
    """

    code = "no_tier"

    def __init__(self, model: str, quantity: Decimal, bounds: tuple[Decimal, ...]) -> None:
        super().__init__(model, quantity, bounds)
        self.model = model
        self.quantity = quantity
        self.bounds = bounds

    def __str__(self) -> str:
        quantity = canonical(self.quantity)
        if self.model == "discrete":
            known = ", ".join(canonical(bound) for bound in self.bounds[:_LISTED])
            more = ", …" if len(self.bounds) > _LISTED else ""
            return f"quantity {quantity} is not in the price's table ({known}{more}): add it to the table"
        last = canonical(self.bounds[-1])
        return (
            f"quantity {quantity} is beyond the last tier, which ends at {last}: add a tier, or open the last"
        )
