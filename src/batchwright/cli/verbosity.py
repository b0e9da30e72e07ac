"""What `-v` and `-q` before the command's name say. A module of its own, for `batchwright --help` loads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Verbosity:
    """How much to log: above 0 more, below 0 (`-q`) less and no progress."""

    level: int = 0
