"""Which mail of ended runs a recipient wants, as they chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Final, NamedTuple

from batchwright.engine.errors import Refused
from batchwright.notifications.addresses import parse_address

ALWAYS, ERRORS, NEVER, DIGEST = "always", "errors", "never", "digest"

CHOICES: Final = (ALWAYS, ERRORS, NEVER, DIGEST)
"""Every mail; only of runs with errors, failed, aborted or not wholly done; none; one mail a day with all runs."""


class ByPreference(NamedTuple):
    """Who gets the mail of a run now, and who in their next digest."""

    now: list[str | None]
    in_digest: list[str | None]


def by_preference(
    recipients: Sequence[str | None], choices: Mapping[str, str], *, in_trouble: bool
) -> ByPreference:
    """Sort the recipients of a run's mail by what they chose.

    Args:
        recipients: as `addresses.recipients` gives them; `None` is kept, so that it is recorded.
        choices: one of `CHOICES` by bare address in lower case; who is not there wants every mail.
        in_trouble: whether the run had an error, left a record out, failed or was aborted.
    """
    by_choice: dict[str, list[str | None]] = {choice: [] for choice in CHOICES}
    for recipient in recipients:
        choice = ALWAYS if recipient is None else choices.get(bare_address(recipient), ALWAYS)
        by_choice[ALWAYS if choice == ERRORS and in_trouble else choice].append(recipient)
    return ByPreference(by_choice[ALWAYS], by_choice[DIGEST])


def in_trouble(facts: Mapping[str, Any]) -> bool:
    """Whether a run had an error, left a record out, failed or was aborted, by its JSON."""
    return bool(facts["status"] != "Completed" or facts.get("errored") or facts.get("not_reached"))


def bare_address(address: str) -> str:
    """The address alone in lower case: `jane@example.com` of `Jane Doe <Jane@Example.com>`."""
    try:
        return parse_address(address).addr_spec.lower()
    except Refused:
        return address.lower()


def next_midnight(now: datetime, zone: tzinfo) -> datetime:
    """When today's digest is due: as the next day begins in that zone, in UTC."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)
