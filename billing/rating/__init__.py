"""Rating: usage and prices in, named lines out. Pure arithmetic, without session, clock or settings."""

from billing.rating.errors import NegativeQuantity, NoTier, PriceError, RatingError
from billing.rating.line import Line
from billing.rating.price import MODELS, Price, Tier
from billing.rating.rating import Bill, Rating, charge, kept_share, net_minor, rate

__all__ = [
    "MODELS",
    "Bill",
    "Line",
    "NegativeQuantity",
    "NoTier",
    "Price",
    "PriceError",
    "Rating",
    "RatingError",
    "Tier",
    "charge",
    "kept_share",
    "net_minor",
    "rate",
]
