"""Mail addresses: checked at the door, and who of a run's people gets mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.headerregistry import Address

from batchwright.config.addresses import parsed
from batchwright.engine.errors import Refused

SHOWN = 300
"""Characters of a refused address that its refusal shows."""

_REMEDY = "Give an address such as jane@example.com, or 'Jane Doe <jane@example.com>'"


def check_address(text: str, field: str = "address") -> str:
    """The address in the form mail headers want: ``jane@example.com`` or ``Jane Doe <jane@example.com>``.

    A domain in another script is given back in its ASCII form. Raises ``Refused``, which names the ``field`` that
    held the text.
    """
    return str(parse_address(text, field))


def parse_address(text: str, field: str = "address") -> Address:
    """The same, taken apart. Raises ``Refused``."""
    try:
        return parsed(text)
    except ValueError as error:
        raise Refused(f"{_shortened(text)} {error}", field=field, remedy=_REMEDY) from error


def recipients(
    actor: str, actors_mapping: Mapping[str, str], notify: Sequence[str], mail_actor: bool
) -> list[str | None]:
    """Who gets the mail of a run: the actor first, if they are to have it, then ``notify``, nobody twice.

    ``None`` stands for an actor without an address. ``actors_mapping`` maps lower-case names to addresses.
    Never raises: the end of a run must not fail for an address.
    """
    found: list[str | None] = [address_of(actor, actors_mapping)] if mail_actor else []
    found += notify
    seen: set[str] = set()
    kept: list[str | None] = []
    for address in found:
        if address is None or _mailbox(address) not in seen:
            kept.append(address)
        if address is not None:
            seen.add(_mailbox(address))
    return kept


def address_of(actor: str, actors_mapping: Mapping[str, str]) -> str | None:
    """The address that an actor is, or is mapped to as in ``recipients``; ``None`` if there is none."""
    for text in (actor, actors_mapping.get(actor.lower())):
        if text is not None:
            try:
                return check_address(text)
            except Refused:
                continue
    return None


def _mailbox(text: str) -> str:
    """What makes two addresses the same: the part before the '@' as written, the domain in any case."""
    try:
        address = parse_address(text)
    except Refused:
        return text
    return f"{address.username}@{address.domain.lower()}"


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}…"
