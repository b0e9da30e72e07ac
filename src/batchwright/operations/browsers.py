"""What browsers call themselves, in words: "Firefox on Linux"."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 60
"""Characters that are shown of a name that is not understood."""

_BROWSERS: Final = (
    (r"Edg|EdgA|EdgiOS|Edge", "Edge"),
    (r"OPR|Opera|OPT|OPX", "Opera"),
    (r"SamsungBrowser", "Samsung Internet"),
    (r"Firefox|FxiOS", "Firefox"),
    (r"Chrome|HeadlessChrome|CriOS", "Chrome"),
    (r"Version/[\d.]+ (?:Mobile/\w+ )?Safari", "Safari"),
)
"""The first that occurs, since all but Firefox say that they are Safari, and most that they are Chrome."""
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux|X11", "Linux"),
)
_SHAPE: Final = re.compile(r"Mozilla/5\.0 \(([^()]*)\) (.*)", re.DOTALL)


def browser_words(text: str | None) -> str:
    """Browser and system of a `User-Agent`; one that is not understood as it is, shortened; "" where there is none."""
    text = text or ""
    if said := _SHAPE.fullmatch(text):
        system, browser = _first(_SYSTEMS, r"\b(?:{})\b", said[1]), _first(_BROWSERS, r"\b(?:{})/\d", said[2])
        if browser and system:
            return f"{browser} on {system}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _first(known: tuple[tuple[str, str], ...], frame: str, text: str) -> str | None:
    return next((name for pattern, name in known if re.search(frame.format(pattern), text)), None)
