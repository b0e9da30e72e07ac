"""What to do about an outcome code of billing, in a sentence or two, whichever job met it.

What becomes of a record that errored, and how it is taken up again, differs by job: ``error_note`` of the job says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_REMEDIES: Mapping[str, str] = {
    "not_found": "The record was deleted before the run came to it. If it is still owed, add it again.",
    "asset_not_active": (
        "The usage date lies outside the dates of the asset line item. Correct the date with "
        "`batchwright usage-inputs edit ID --usage-date DATE`, or have the asset line item amended."
    ),
    "before_first_billing_date": (
        "The usage date comes before the first billing date of the asset line item. Correct the date with "
        "`batchwright usage-inputs edit ID --usage-date DATE`."
    ),
    "no_usage_schedule": (
        "No usage schedule covers the usage date. Compare `batchwright usage-schedules list "
        "--asset-line-item ID`, then correct the date or import the missing schedule."
    ),
    "superseded_only": (
        "Only superseded schedules cover the usage date: the asset line item was amended. Move the usage "
        "into a period that is still open, or delete the input if it was billed before."
    ),
    "no_contract": (
        "The account had no active contract on the usage date. Import one (contracts.csv), or name a price "
        "book on the asset line item."
    ),
    "no_price": (
        "The price book has no price for the product that is in force on the usage date. Import one "
        "(prices.csv) with an earlier effective_from."
    ),
    "uom_mismatch": (
        "The unit of the input is not that of the price. Add the input again in the unit of the price, or "
        "import a price in this unit with --update."
    ),
    "negative_quantity": (
        "A quantity cannot be below zero. Correct it with `batchwright usage-inputs edit ID --quantity N`."
    ),
    "no_tier": (
        "The price has no tier for the quantity. Correct the quantity if it is a slip; else import the missing "
        "tier, or an open last one (an empty to_quantity), in price_tiers.csv with --update."
    ),
    "amount_out_of_range": "The amount is too large to store. Look for a slip in the quantity or the unit price.",
    "unrated": (
        "The rating was taken back. Correct the input if it was wrong, make it Loaded with "
        "`batchwright usage-inputs reset ID`, and rate it again."
    ),
    "unforeseen": (
        "The job met a fault that nobody foresaw; its text is in the message. Try once more; if it comes back, "
        "show the message to whoever maintains the job."
    ),
    "ended_process": (
        "Each process that executed it ended, for example by lack of memory or by a crash in a library. Show it to "
        "whoever maintains the job, and have it done again then."
    ),
}


_COMMAND: Final = re.compile(r"`batchwright (\S+ \S+)[^`]*`")
_IN_CONSOLE: Final = {
    "usage-inputs edit": "Edit on the page of the input",
    "usage-inputs reset": "Reset on the page of the input",
    "usage-schedules list": "the usage schedules on the page of its asset",
    "run usage-unrating": "Unrate on its page",
}
"""What people press in the console in place of a command."""


def remedy(code: str) -> str:
    """What to do about the error ``code``: from the table, else to read the messages."""
    return known_remedy(code) or "See the message of each, and put it right."


def known_remedy(code: str) -> str | None:
    """What to do about ``code`` where the table says it: most of what is skipped needs nothing."""
    return _REMEDIES.get(code)


def in_console(text: str) -> str:
    """The text with what to press in the console in place of the commands that it names."""
    pressed = _COMMAND.sub(lambda found: _IN_CONSOLE.get(found[1], found[0]), text)
    return pressed.replace("with --update", 'with "Update what is there"')
