"""What was said before the command's name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Session:
    """How much to log: above 0 more, below 0 (`-q`) less and no progress."""

    verbosity: int = 0
