"""Text from outside, made harmless: what a server, a file, a setting or a person said is shown, and steers nothing.

Everything that prints or keeps such text passes one of these two.
"""

from __future__ import annotations

_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}


def clean(text: str) -> str:
    """The text in printable characters and line breaks: all others, which could steer a terminal, as escapes.

    Bytes that were no UTF-8 where they came from (Python's halves of surrogate pairs) are read as Latin-1.
    """
    if text.isprintable():
        return text
    text = text.translate(_LATIN_1)
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def clean_line(text: str) -> str:
    """The same as one line, each run of white space as a blank."""
    return clean(" ".join(text.split()))


def _escape(character: str) -> str:
    return repr(character)[1:-1]
