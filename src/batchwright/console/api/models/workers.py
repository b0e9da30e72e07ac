"""The shapes of workers."""

from __future__ import annotations

from batchwright.console.api.models.shapes import Answer, Instant


class Worker(Answer):
    """A worker, as it reports itself; `left_runs` are those that it leaves to others, with the reason.

    `processes` and what follows are those of the worker and its child processes; `null` where its host does not tell.
    """

    host: str
    process: int
    version: str
    revision: str
    jobs: list[str]
    runs: list[str]
    left_runs: dict[str, str]
    silent: bool
    started_at: Instant
    beat_at: Instant
    clock_ahead_seconds: float | None
    processes: int | None
    rss_bytes: int | None
    pss_bytes: int | None
    connections: int | None
