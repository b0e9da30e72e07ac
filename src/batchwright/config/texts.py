"""Text from outside, made harmless: what a server, a file, a setting or a person said is shown, and steers nothing.

Everything that prints or keeps such text passes `clean` or `clean_line`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

# What fonts show nothing for: Unicode's Default_Ignorable_Code_Point, blank letters of Hangul, the blank of Braille.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
LONGEST_WORD = 400
"""Characters: no id, name or path of sense has more."""
LONGEST_LINE = 4_000
_LONG_WORD = re.compile(rf"(?<![^\s'\"`])[^\s'\"`]{{{LONGEST_WORD + 1},}}")
_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}


def clean(text: str) -> str:
    """The text in printable characters and line breaks: all others, which could steer a terminal, as escapes.

    Bytes that were not UTF-8 where they came from (Python's halves of surrogate pairs) are read as Latin-1.
    """
    if text.isprintable():
        return text
    text = text.translate(_LATIN_1)
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def clean_line(text: str) -> str:
    """The same as one line, each run of white space as a blank."""
    return clean(" ".join(text.split()))


def without_middle(text: str) -> str:
    """What refuses something, to be read: of a word or a line that is very long its ends and its length."""
    if len(text) <= LONGEST_WORD:
        return text
    text = _LONG_WORD.sub(lambda word: _ends(word[0], 150), text)
    return "\n".join(line if len(line) <= LONGEST_LINE else _ends(line, 1_000) for line in text.split("\n"))


def _ends(text: str, first: int) -> str:
    return f"{text[:first]}… ({len(text):,} characters) …{text[-50:]}"


def unlike_itself(text: str) -> tuple[str, str] | None:
    """Why an id or a name could be taken for another one that looks the same, and the remedy; ``None`` if it cannot."""
    seen = _INVISIBLE.search(text)
    if seen is not None:
        return f"has the invisible character U+{ord(seen[0]):04X}", "take it out"
    if not unicodedata.is_normalized("NFC", text):
        return "has letters in parts, as an e and its accent", "write them composed (Unicode's form NFC)"
    return None


def wants_no_colour(environ: Mapping[str, str]) -> bool:
    """Whether the terminal, or who sits at it, wants plain text: NO_COLOR (no-color.org), or TERM=dumb."""
    return bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"


def _escape(character: str) -> str:
    return repr(character)[1:-1]
