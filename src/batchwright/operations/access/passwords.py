"""What a password has to be, and how it is kept."""

from __future__ import annotations

import re
import secrets
import unicodedata
from functools import cache
from itertools import islice
from typing import Final

from sqlalchemy import RowMapping

from batchwright.engine.errors import Refused

SHORTEST: Final = 8
LONGEST: Final = 1024
"""Characters; hashing takes longer with the length, and nobody types more."""
COMMON: Final = 3000
"""So many of the commonest are refused, of those that are long enough."""
OWN_WORDS: Final = ("batchwright", "billing", "password", "passwort")
"""What comes to mind first; the parts of the user's own address do, too."""
_LONG_ENOUGH_TO_COUNT: Final = 4


def check_password(password: str, email: str) -> None:
    """Refuse a password that is too short, that nobody can type, or that others try first."""
    password = normal(password)
    if not SHORTEST <= len(password) <= LONGEST or not password.isprintable():
        raise Refused(
            f"the password has {len(password)} characters, or one that nobody can type",
            field="password",
            remedy=f"Give {SHORTEST} to {LONGEST} printable characters, better 15 or more",
        )
    folded = password.casefold()
    if folded in _common() or len(set(folded)) < 3:
        raise Refused(
            "the password is one of those that are tried first",
            field="password",
            remedy="Give another, such as several words that have nothing to do with each other",
        )
    left = folded
    for word in sorted({*OWN_WORDS, *re.split(r"[^\w]+|_", email.casefold())}, key=len, reverse=True):
        if len(word) >= _LONG_ENOUGH_TO_COUNT:
            left = left.replace(word, "")
    if left != folded and len(left) < SHORTEST:
        raise Refused(
            "the password is little more than a word of this place or of the user's address",
            field="password",
            remedy=f"Give {SHORTEST} other characters beside it, or leave that word out",
        )


class NoPassword(Refused):
    """The password is asked of a user who has none."""

    def __init__(self, email: str, field: str) -> None:
        super().__init__(
            "you have no password yet",
            field=field,
            remedy=f"Set one by `batchwright users password {email}` on the machine, or sign out and follow "
            "*Forgotten your password?* for a link; then sign in with it and do this again",
        )


def check_there_is_one(user: RowMapping, field: str) -> None:
    """Refuse, as `NoPassword`, where the user has none to give in that field."""
    if user["password_hash"] is None:
        raise NoPassword(user["email"], field)


def hash_password(password: str) -> str:
    """The hash that is kept. It takes some tenths of a second and 64 MiB."""
    # Not at the top: only who sets or checks a password needs it.
    from argon2 import PasswordHasher

    return PasswordHasher().hash(normal(password))


def password_fits(hashed: str | None, password: str) -> bool:
    """Whether it is the password that was hashed so; it takes as long where there is none."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    decoy = _decoy()
    if len(password) > LONGEST:
        hashed = None
    try:
        fits = PasswordHasher().verify(
            hashed or decoy, normal(password[:LONGEST]).encode("utf-8", "surrogatepass")
        )
    except (VerificationError, InvalidHashError):
        return False
    return fits and hashed is not None


def normal(password: str) -> str:
    """The password as it is hashed: the same however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)


@cache
def _decoy() -> str:
    """A hash of what nobody knows, so that an unknown user takes as long as a known one."""
    return hash_password(secrets.token_urlsafe(32))


@cache
def _common() -> frozenset[str]:
    # Not at the top: the lists take some tenths of a second to load. They stand in order of frequency.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    long_enough = (one for one in FREQUENCY_LISTS["passwords"] if len(one) >= SHORTEST)
    return frozenset(one.casefold() for one in islice(long_enough, COMMON))
