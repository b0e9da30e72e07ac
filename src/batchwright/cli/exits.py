"""The exit codes: the table in docs/command-line.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DONE = 0
FAILED = 1
REFUSED = 2
WITH_ERRORS = 3
OUTDATED = 75
INTERRUPTED = 130


def exit_code_of(run: Mapping[str, Any], *, interrupted: bool) -> int:
    """The exit code for a run's JSON. One that goes on elsewhere without us was not done here: 1.

    A rating that left inputs in Error uncharged did not bill all that it should have: it is not done without errors.
    """
    if run["status"] == "Completed":
        uncharged = run["job"] == "usage-rating" and any(
            one["code"] == "not_rated" for one in run["warnings"]
        )
        return WITH_ERRORS if run["errored"] or uncharged else DONE
    if run["status"] in ("Failed", "Aborted"):
        return FAILED
    return INTERRUPTED if interrupted else FAILED
