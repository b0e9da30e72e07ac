"""What names a database or a URL, without the password in it: whatever shows, logs or keeps such text passes here."""

from __future__ import annotations

import re
from urllib.parse import unquote

HIDDEN = "****"

_URL_IN_TEXT = re.compile(r"(?<![\w+.-])[a-z][a-z0-9+.-]*:/+[^\s\"'<>`]*", re.IGNORECASE)
_START = re.compile(r"(?:[a-z][a-z0-9+.-]*:/)?/{0,3}", re.IGNORECASE)
_HOST = r"(?:\[[0-9a-f:.]*\]|[^:@/?#\s]*)(?::\d*)?"
_WITHOUT_USER = re.compile(rf"{_HOST}(?:/[^@]*)?[,;.)]*", re.IGNORECASE)
_NAMES_A_PATH = re.compile(rf"{_HOST}/[^:@]*", re.IGNORECASE)
_OPTION = re.compile(r"([?&;])([^=&;?]*)=([^&;]*)")
_WORD = re.compile(
    r"\b(\w*(?:password|passwd|passphrase)|pwd)(\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&;'\"]+)", re.IGNORECASE
)
_SECRET = ("pass", "pwd", "secret", "token", "credential")


def without_password(text: str) -> str:
    """The text with `****` for each password in it: of a URL's user, of its options, of `password=…`.

    For messages that may hold URLs, and for URLs; a malformed URL loses too much rather than too little.
    """
    if ":" not in text and "=" not in text:
        return text
    cleaned = _URL_IN_TEXT.sub(lambda match: _cleaned(match[0]), text)
    return _WORD.sub(_hide_word, cleaned)


def url_without_password(url: str) -> str:
    """The same of a text that should be a URL and may have blanks, or no scheme."""
    return _WORD.sub(_hide_word, _cleaned(url))


def _cleaned(url: str) -> str:
    start = _START.match(url)
    begin = url[: start.end()] if start is not None else ""
    rest = _OPTION.sub(_hide_option, url[len(begin) :])
    address, mark, options = rest.partition("?")
    if "@" not in address and "@" in options and not _NAMES_A_PATH.fullmatch(address):
        address, mark, options = rest, "", ""  # the mark is of the password
    return f"{begin}{_without_user(begin, address)}{mark}{options}"


def _without_user(begin: str, address: str) -> str:
    if "@" in address:
        user, _, host = address.rpartition("@")
        name, colon, password = user.partition(":")
        return f"{name}:{password if set(password) == {'*'} else HIDDEN}@{host}" if colon else address
    if begin.lower().startswith("sqlite") or _WITHOUT_USER.fullmatch(address):
        return address
    name, colon, _ = address.partition(":")
    return f"{name}:{HIDDEN}" if colon else address


def _hide_option(match: re.Match[str]) -> str:
    name = unquote(match[2]).lower()
    return f"{match[1]}{match[2]}={HIDDEN}" if any(word in name for word in _SECRET) else match[0]


def _hide_word(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{HIDDEN}"
