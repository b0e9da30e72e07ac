"""The command and the call of the API that equal what a page does, to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from batchwright.operations.schedules.crontab import option_of

MOST_VALUES: Final = 20
"""Of more values no command is made: nobody would paste it."""
WITH_OPTIONS: Final = ("draft-usage-rating", "usage-rating", "usage-unrating", "data-recalculation")
"""The jobs whose command has an option for each parameter; others take `--param NAME=VALUE`."""


def command_of(job: str, parameters: Mapping[str, Any], mode: str = "batch") -> str | None:
    """The command that submits such a run; None where its parameters are too many."""
    words = ["batchwright", "run", job]
    for name, given in parameters.items():
        values = given if isinstance(given, list) else [given]
        if len(values) > MOST_VALUES:
            return None
        for value in values:
            if value is None:
                continue
            text = value if isinstance(value, str) else json.dumps(value)
            if job in WITH_OPTIONS:
                words += [f"--{option_of(name, isinstance(given, list))}", text]
            else:
                words += ["--param", f"{name}={text}"]
    words += {"dry_run": ["--dry-run"], "sync": ["--sync"]}.get(mode, [])
    return shlex.join(words)


def call_of(job: str, parameters: Mapping[str, Any], mode: str = "batch") -> str:
    """The call of the API that does: its line and its body."""
    body = {"job": job, "parameters": {k: v for k, v in parameters.items() if v is not None}, "mode": mode}
    return f"POST /api/v1/runs\n{json.dumps(body, indent=2, ensure_ascii=False)}"
