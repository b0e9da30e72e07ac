"""What `-v`, `-q` and `--timeout` say. A module of its own, for `batchwright --help` loads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Verbosity:
    """How much to log: above 0 more, below 0 (`-q`) less and no progress; and how long to wait."""

    level: int = 0
    timeout: float | None = None
    """For how many seconds at most a write waits for others on SQLite."""
