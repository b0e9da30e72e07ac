"""What is a mail address: one judge for settings, people, recipients and whatever else holds one."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from email.headerregistry import Address
from email.utils import parseaddr
from inspect import signature
from typing import Any

LONGEST = 254
"""Characters of the longest address that SMTP carries (RFC 5321, 4.5.3.1.3, less the angle brackets)."""
LONGEST_LOCAL = 64
"""Of the part before the '@' (RFC 5321, 4.5.3.1.1)."""
LONGEST_NAME = 200
LONGEST_DOMAIN = 253

# The strict reading of newer Pythons takes no address at an IP number; what is strict here is `_is_all_of`.
_LENIENT: dict[str, Any] = {"strict": False} if "strict" in signature(parseaddr).parameters else {}

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)


def parsed(text: str) -> Address:
    """The address, with or without a name; a domain in another script in its ASCII form (IDNA 2008).

    Raises ``ValueError`` with what is wrong, as the rest of a sentence that begins with the text.
    """
    if not text.isprintable():
        raise ValueError("holds a line break or another control character")
    name, spec = parseaddr(text.strip(), **_LENIENT)
    if not spec or not _is_all_of(text.strip(), name, spec):
        raise ValueError("is not a mail address")
    unquoted = _QUOTED.sub("", text)
    if "(" in unquoted or ")" in unquoted:
        raise ValueError("holds a comment in parentheses, which belongs into no address")
    if "=?" in text:
        raise ValueError("holds an encoded word; write the name as it is read")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"has a name of more than {LONGEST_NAME} characters")
    local, _, domain = spec.rpartition("@")
    if not local or not domain:
        raise ValueError("is not a mail address")
    if not local.isascii():
        raise ValueError("has letters before the '@' that most mail servers do not carry")
    if len(local) > LONGEST_LOCAL:
        raise ValueError(f"has more than {LONGEST_LOCAL} characters before the '@'")
    try:
        address = Address(display_name=name, addr_spec=f"{local}@{ascii_domain(domain)}")
    except ValueError:
        raise
    except Exception as error:  # the standard library's parser leaks IndexError and its own classes
        raise ValueError("is not a mail address") from error
    if len(address.addr_spec) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    return address


def ascii_domain(domain: str) -> str:
    """The domain as servers know it: ``xn--fa-hia.de`` of ``faß.de``. Raises ``ValueError`` for anything else."""
    if domain.startswith("[") and domain.endswith("]"):
        return _literal(domain)
    encoded = domain if domain.isascii() and "xn--" not in domain.lower() else _encoded(domain)
    if len(encoded) > LONGEST_DOMAIN or not all(map(_LABEL.fullmatch, encoded.split("."))):
        raise ValueError(f"has no usable domain after the '@': {domain[:LONGEST]!r}")
    return encoded


def _encoded(domain: str) -> str:
    import idna  # not at the top: its tables are large, and most domains are ASCII

    folded = unicodedata.normalize("NFC", domain.lower())
    try:
        if domain.isascii():
            idna.decode(folded)  # an ACE form that stands for nothing is refused
            return domain
        return idna.encode(folded).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"has a domain that IDNA 2008 does not allow: {domain[:LONGEST]!r}") from error


def _literal(domain: str) -> str:
    try:
        ipaddress.ip_address(domain[1:-1].removeprefix("IPv6:"))
    except ValueError:
        raise ValueError(f"has no usable domain after the '@': {domain[:LONGEST]!r}") from None
    return domain


def _is_all_of(bare: str, name: str, spec: str) -> bool:
    """Nothing was left over, such as a second address after a comma: it would get mail that nobody saw named."""
    return bare == spec or (bare.endswith(f"<{spec}>") and (bool(name) or bare == f"<{spec}>"))
