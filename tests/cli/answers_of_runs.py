"""The JSON that commands on runs answer."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Batchwright

RUN_FIELDS = [
    *["run_id", "job", "type", "mode", "status", "badge", "actor", "reason", "explanation", "parameters"],
    *[
        "trigger",
        "schedule",
        "parent_run_id",
        "customer_id",
        "periods",
        "total",
        "processed",
        "errored",
        "skipped",
    ],
    *[
        "not_reached",
        "totals",
        "warnings",
        "error",
        "created_at",
        "started_at",
        "ended_at",
        "duration_seconds",
    ],
]


def answer(batchwright: Batchwright, *words: str, code: int = 0) -> dict[str, Any]:
    """The JSON that a command line ends with; nothing else may be on stdout."""
    result = batchwright(*words, "--json")
    assert result.exit_code == code, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document
