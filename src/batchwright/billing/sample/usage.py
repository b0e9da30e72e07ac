"""Writes the sample company's `usage_inputs.csv`: `python -m batchwright.billing.sample.usage`.

The meters' readings come from a fixed seed; the two inputs of the vendor's page and the bad ones are listed. The
file is kept in the repository, so that it can be read and edited like the others; a test compares the two.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Final, NamedTuple

from batchwright.billing.sample import folder

FILE_NAME: Final = "usage_inputs.csv"
_HEADER: Final = (
    "usage_input_id", "asset_line_item_id", "usage_date", "quantity", "product_uom", "description",
)  # fmt: skip
_SEED: Final = 2023


class Meter(NamedTuple):
    """One asset's readings: every `days` days from `first` to `last`, a quantity from `low` to `high`."""

    asset_line_item_id: str
    first: str
    last: str
    days: int
    low: int
    high: int
    decimals: int
    product_uom: str
    description: str


class Reading(NamedTuple):
    """A usage input without its id."""

    asset_line_item_id: str
    usage_date: str
    quantity: str
    product_uom: str
    description: str


METERS: Final = (
    Meter("ALI-0002", "2023-01-02", "2023-12-31", 4, 900, 3600, 0, "Each", "Gateway calls"),
    Meter("ALI-0003", "2023-01-03", "2024-03-30", 7, 18, 160, 2, "Hour", "Build cluster"),
    Meter("ALI-0004", "2023-01-09", "2023-12-20", 14, 1, 38, 0, "Each", "New seats"),
    Meter("ALI-0005", "2023-01-16", "2024-01-14", 7, 150, 4200, 0, "Each", "Customer notifications"),
    Meter("ALI-0006", "2023-01-05", "2023-12-30", 5, 6, 7400, 2, "Euro", "Card turnover"),
    Meter("ALI-0007", "2023-02-14", "2023-12-12", 38, 1, 3, 0, "Day", "Classroom training"),
    Meter("ALI-0008", "2023-02-01", "2024-01-30", 9, 2, 75, 3, "Hour", "Render farm"),
    Meter("ALI-0009", "2023-04-01", "2023-04-30", 4, 5, 140, 1, "Gallon", "Fuel card"),
    Meter("ALI-0009", "2023-06-02", "2023-12-31", 5, 5, 140, 1, "Gallon", "Fuel card"),
    Meter("ALI-0010", "2023-01-15", "2023-12-31", 28, 1, 1, 0, "Each", "Depot in use"),
    Meter("ALI-0011", "2023-03-01", "2024-02-29", 8, 20, 110, 0, "Day", "Vehicles on the road"),
    Meter("ALI-0012", "2023-04-03", "2023-09-30", 7, 80, 2600, 0, "Each", "Freight papers scanned"),
)

# The two inputs of the vendor's page, under the ids it gives them.
SEED_INPUTS: Final = {
    "IN-00007052": Reading("ALI-0001", "2023-06-05", "20", "Each", "Internet plans, June"),
    "IN-00007053": Reading("ALI-0001", "2023-07-08", "10", "Each", "Internet plans, July"),
}

# One bad input for every outcome code that imported records can have.
BAD_INPUTS: Final = {
    "asset_not_active": Reading("ALI-0003", "2024-04-15", "42.5", "Hour", "Build cluster, after the end"),
    "before_first_billing_date": Reading("ALI-0011", "2023-02-14", "31", "Day", "Trial before the launch"),
    "no_usage_schedule": Reading("ALI-0009", "2023-05-17", "88.4", "Gallon", "Fuel card, May"),
    "superseded_only": Reading("ALI-0009", "2023-02-09", "61.2", "Gallon", "Fuel card, found in a drawer"),
    "no_contract": Reading("ALI-0012", "2023-10-12", "450", "Each", "Scans after the contract's end"),
    "no_price": Reading("ALI-0012", "2023-02-20", "120", "Each", "Scans before the price list had them"),
    "uom_mismatch": Reading("ALI-0007", "2023-05-23", "8", "Hour", "Webinar, booked in hours"),
    "negative_quantity": Reading("ALI-0006", "2023-08-18", "-129.90", "Euro", "Refund booked as turnover"),
    "no_tier": Reading("ALI-0007", "2023-09-14", "4", "Day", "Training of four days, not on the list"),
    "amount_out_of_range": Reading(
        "ALI-0009", "2023-09-21", "978014300723456789", "Gallon", "Bar code scanned as quantity"
    ),
}


def text() -> str:
    """The whole file: the vendor's two inputs, then all others by usage date with ids that count up."""
    others = [reading for meter, draw in _draws() for reading in _readings(meter, draw)]
    others.extend(BAD_INPUTS.values())
    others.sort(key=lambda reading: (reading.usage_date, reading.asset_line_item_id))
    rows = [(usage_input_id, *reading) for usage_input_id, reading in SEED_INPUTS.items()]
    rows.extend((f"IN-{number:08d}", *reading) for number, reading in enumerate(others, start=7101))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(rows)
    return buffer.getvalue()


def _draws() -> Iterator[tuple[Meter, Random]]:
    # A generator of its own for each meter: changing one leaves the readings of the others alone.
    for number, meter in enumerate(METERS):
        yield meter, Random(_SEED * 100 + number)


def _readings(meter: Meter, draw: Random) -> Iterator[Reading]:
    day, last = date.fromisoformat(meter.first), date.fromisoformat(meter.last)
    while day <= last:
        quantity = meter.low + draw.random() * (meter.high - meter.low)
        yield Reading(
            meter.asset_line_item_id,
            day.isoformat(),
            f"{quantity:.{meter.decimals}f}",
            meter.product_uom,
            meter.description,
        )
        day += timedelta(days=meter.days)


if __name__ == "__main__":
    (folder() / FILE_NAME).write_text(text(), encoding="utf-8")
