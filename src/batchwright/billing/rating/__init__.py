"""Rating: usage and prices in, named lines out. Pure arithmetic, without session, clock or settings."""

from batchwright.billing.rating.errors import NegativeQuantity, NoTier, PriceError, RatingError
from batchwright.billing.rating.line import RatingLine
from batchwright.billing.rating.price import MODELS, Price, Tier, unused
from batchwright.billing.rating.rating import Charging, NetAmount, Rating, charging, kept_share, rate

__all__ = [
    "MODELS",
    "Charging",
    "NegativeQuantity",
    "NetAmount",
    "NoTier",
    "Price",
    "PriceError",
    "Rating",
    "RatingError",
    "RatingLine",
    "Tier",
    "charging",
    "kept_share",
    "rate",
    "unused",
]
