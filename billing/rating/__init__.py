"""Rating: usage and prices in, named lines out. Pure arithmetic, without session, clock or settings."""

from billing.rating.errors import NegativeQuantity, NoTier, PriceError, RatingError
from billing.rating.line import Line
from billing.rating.price import MODELS, Price, Tier
from billing.rating.rating import Bill, Charging, Rating, charging, kept_share, rate

__all__ = [
    "MODELS",
    "Bill",
    "Charging",
    "Line",
    "NegativeQuantity",
    "NoTier",
    "Price",
    "PriceError",
    "Rating",
    "RatingError",
    "Tier",
    "charging",
    "kept_share",
    "rate",
]
