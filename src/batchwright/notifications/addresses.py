"""Mail addresses: checked at the door, and who of a run's people gets mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.utils import parseaddr
from functools import partial

from batchwright.engine.errors import Refused

LONGEST = 254
"""Characters of the longest address that SMTP carries (RFC 5321, 4.5.3.1.3, less the angle brackets)."""

_REMEDY = "Give an address such as jane@example.com, or 'Jane Doe <jane@example.com>'"


def check_address(text: str, field: str = "address") -> str:
    """The address in the form mail headers want: ``jane@example.com`` or ``Jane Doe <jane@example.com>``.

    A domain in another script is given back in its ASCII form. Raises ``Refused``, which names the ``field`` that
    held the text.
    """
    return str(parse_address(text, field))


def parse_address(text: str, field: str = "address") -> Address:
    """The same, taken apart. Raises ``Refused``."""
    refused = partial(_refused, text, field)
    if not text.isprintable():
        raise refused("holds a line break or another control character")
    name, spec = parseaddr(text.strip())
    if not spec or not _is_all_of(text, name, spec):
        raise refused("is not a mail address")
    local, at, domain = spec.rpartition("@")
    if not at or not local or not domain:
        raise refused("is not a mail address")
    if not local.isascii():
        raise refused("has letters before the '@' that most mail servers do not carry")
    try:
        address = Address(display_name=name, addr_spec=f"{local}@{_ascii_domain(domain)}")
    except Exception as error:  # the standard library's parser leaks IndexError and its own classes
        raise refused("is not a mail address") from error
    if len(address.addr_spec) > LONGEST:
        raise refused(f"is longer than {LONGEST} characters")
    return address


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
    """The address that an actor is, or is mapped to as in ``recipients``; ``None`` without."""
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


def _is_all_of(text: str, name: str, spec: str) -> bool:
    """Nothing was left over, such as a second address after a comma: it would get mail that nobody saw named."""
    bare = text.strip()
    return bare == spec or (bare.endswith(f"<{spec}>") and (bool(name) or bare == f"<{spec}>"))


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain
    return domain.encode("idna").decode("ascii")


def _refused(text: str, field: str, reason: str) -> Refused:
    return Refused(f"{text!r} {reason}", field=field, remedy=_REMEDY)
