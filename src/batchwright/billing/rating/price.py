"""A price as rating needs it: checked once when it is made, then only read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from batchwright.billing.exact import EXACT, ZERO, DecimalError, canonical, parse_decimal
from batchwright.billing.rating.errors import PriceError

# What each model needs. The other amounts of a price (`_AMOUNTS`) mean nothing to it.
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "per_unit": ("unit_price",),
    "tiered": ("tiers",),
    "volume": ("tiers",),
    "stairstep": ("tiers",),
    "package": ("unit_price", "package_size"),
    "flat": ("flat_fee",),
    "discrete": ("tiers",),
    "percentage": ("percentage",),
}
MODELS: Final = tuple(_NEEDS)
_AMOUNTS: Final = ("unit_price", "flat_fee", "percentage", "package_size")
_LIMITS: Final = ("included_quantity", "minimum_amount", "maximum_amount")
_KEYS: Final = ("model", *_AMOUNTS, *_LIMITS, "flat_fee_per", "tiers")
_TIER_KEYS: Final = ("to", "unit_price", "flat_fee")
_FEE_PER: Final = ("window", "input")


@dataclass(frozen=True, slots=True)
class Tier:
    """A step of a price: up to and with `to` (None = open), a price for each unit and a fee."""

    to: Decimal | None
    unit_price: Decimal = ZERO
    flat_fee: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Price:
    """One revision of a price. Amounts are in the price book's currency, quantities in the product's unit.

    `percentage` is in percent. Raises PriceError when the parts do not make a price.
    """

    model: str
    unit_price: Decimal = ZERO
    flat_fee: Decimal = ZERO
    percentage: Decimal = ZERO
    package_size: Decimal = ZERO
    included_quantity: Decimal = ZERO
    minimum_amount: Decimal | None = None
    maximum_amount: Decimal | None = None
    flat_fee_per: str = "window"
    tiers: tuple[Tier, ...] = ()
    # Worked out once for a million ratings: the closed upper bounds in order, for bisect, and three shortcuts.
    bounds: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)
    fee_per_input: bool = field(init=False, repr=False, compare=False)
    fraction: Decimal = field(init=False, repr=False, compare=False)
    has_limits: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.model not in _NEEDS:
            raise PriceError("model", f"{self.model!r} is not known", f"use one of {', '.join(MODELS)}")
        if self.flat_fee_per not in _FEE_PER:
            raise PriceError("flat_fee_per", f"{self.flat_fee_per!r} is not known", "use window or input")
        _check_amounts(self)
        _check_limits(self)
        _check_tiers(self.model, self.tiers)
        object.__setattr__(self, "bounds", tuple(tier.to for tier in self.tiers if tier.to is not None))
        object.__setattr__(self, "fee_per_input", self.flat_fee_per == "input")
        limits = (self.minimum_amount, self.maximum_amount)
        object.__setattr__(self, "has_limits", limits != (None, None))
        object.__setattr__(self, "fraction", self.percentage.scaleb(-2, EXACT))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> "Price":
        """The price that a mapping of texts describes: `model`, and what that model needs.

        A key that is absent or None is not set. Tiers are a list of mappings in order of `to`, which is None
        for an open last tier. Raises PriceError naming the key.
        """
        _refuse_unknown("", mapping, _KEYS)
        model = mapping.get("model")
        if not isinstance(model, str) or model not in _NEEDS:
            raise PriceError("model", f"{model!r} is not known", f"use one of {', '.join(MODELS)}")
        for name in _NEEDS[model]:
            if mapping.get(name) is None:
                raise PriceError(name, f"is missing, and the model {model} needs it", f"give {name}")
        flat_fee_per = mapping.get("flat_fee_per")
        return cls(
            model,
            **{name: _number("", mapping, name) for name in (*_AMOUNTS, "included_quantity")},
            minimum_amount=_number_or_none("", mapping, "minimum_amount"),
            maximum_amount=_number_or_none("", mapping, "maximum_amount"),
            flat_fee_per="window" if flat_fee_per is None else str(flat_fee_per),
            tiers=tuple(_tiers(mapping.get("tiers"))),
        )


def unused(model: str, name: str) -> bool:
    """True for an amount that means nothing to the model."""
    return name in _AMOUNTS and name not in _NEEDS[model]


def _refuse_unknown(prefix: str, mapping: Mapping[str, object], known: Sequence[str]) -> None:
    for key in mapping:
        if key not in known:
            raise PriceError(f"{prefix}{key}", "is not a key of a price", f"use {', '.join(known)}")


def _number_or_none(prefix: str, mapping: Mapping[str, object], name: str) -> Decimal | None:
    value = mapping.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise PriceError(
            f"{prefix}{name}", f"{value!r} is not a text", 'write the number as text, as in "12.50"'
        )
    try:
        return parse_decimal(value)
    except DecimalError as error:
        raise PriceError(f"{prefix}{name}", f"{value[:60]!r} {error.problem}", error.remedy) from None


def _number(prefix: str, mapping: Mapping[str, object], name: str) -> Decimal:
    value = _number_or_none(prefix, mapping, name)
    return ZERO if value is None else value


def _tiers(value: object) -> Iterable[Tier]:
    if value is None:
        return
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise PriceError("tiers", f"{value!r} is not a list", "give a list of tiers")
    for place, tier in enumerate(value):
        prefix = f"tiers[{place}]."
        if not isinstance(tier, Mapping):
            raise PriceError(f"tiers[{place}]", f"{tier!r} is not a mapping", f"give {', '.join(_TIER_KEYS)}")
        _refuse_unknown(prefix, tier, _TIER_KEYS)
        if tier.get("unit_price") is None and tier.get("flat_fee") is None:
            raise PriceError(
                f"{prefix}unit_price", "is missing, and so is flat_fee", "give one, 0 if it is free"
            )
        yield Tier(
            _number_or_none(prefix, tier, "to"),
            _number(prefix, tier, "unit_price"),
            _number(prefix, tier, "flat_fee"),
        )


def _refuse_negative(name: str, value: Decimal) -> None:
    if value < ZERO:
        raise PriceError(name, f"{canonical(value)} is negative", "give zero or more")


def _check_amounts(price: Price) -> None:
    for name in _AMOUNTS:
        value: Decimal = getattr(price, name)
        _refuse_negative(name, value)
        if value and unused(price.model, name):
            raise PriceError(
                name, f"{canonical(value)} is not used by the model {price.model}", "leave it out"
            )
    if price.model == "package" and not price.package_size:
        raise PriceError("package_size", "0 makes no package", "give more than zero")
    if price.tiers and "tiers" not in _NEEDS[price.model]:
        raise PriceError("tiers", f"are not used by the model {price.model}", "leave them out")


def _check_limits(price: Price) -> None:
    for name in _LIMITS:
        value: Decimal | None = getattr(price, name)
        if value is not None:
            _refuse_negative(name, value)
    low, high = price.minimum_amount, price.maximum_amount
    if low is not None and high is not None and low > high:
        raise PriceError(
            "minimum_amount",
            f"{canonical(low)} is more than maximum_amount {canonical(high)}",
            "lower the minimum or raise the maximum",
        )


def _check_tiers(model: str, tiers: tuple[Tier, ...]) -> None:
    if "tiers" in _NEEDS[model] and not tiers:
        raise PriceError("tiers", f"is empty, and the model {model} needs it", "give at least one tier")
    before: Decimal | None = None
    for place, tier in enumerate(tiers):
        name = f"tiers[{place}]"
        _check_bound(model, f"{name}.to", tier.to, before, is_last=place == len(tiers) - 1)
        _refuse_negative(f"{name}.unit_price", tier.unit_price)
        _refuse_negative(f"{name}.flat_fee", tier.flat_fee)
        if model == "stairstep" and tier.unit_price:
            raise PriceError(
                f"{name}.unit_price",
                f"{canonical(tier.unit_price)} is not used by the model stairstep: a step has a flat_fee",
                "leave it out, or use the model volume",
            )
        before = tier.to


def _check_bound(model: str, name: str, to: Decimal | None, before: Decimal | None, *, is_last: bool) -> None:
    if to is None:
        if model == "discrete":
            raise PriceError(name, "is open, but discrete prices list exact quantities", "give the quantity")
        if not is_last:
            raise PriceError(name, "is open, and only the last tier may be", "give the tier's last quantity")
        return
    _refuse_negative(name, to)
    if before is not None and to <= before:
        raise PriceError(
            name,
            f"{canonical(to)} is not above {canonical(before)}, the bound of the tier before",
            "list the tiers in rising order, each bound once",
        )
