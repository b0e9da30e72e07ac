"""The command and the call of the API that equal what a page does, to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from batchwright.operations.schedules.crontab import option_of

MOST_VALUES: Final = 20
"""Of more values no command is made: nobody would paste it."""
OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "data-recalculation": frozenset({"customer_id", "periods", "reason", "explanation"}),
    **dict.fromkeys(
        ("draft-usage-rating", "usage-rating", "usage-unrating", "usage-input-reset", "usage-input-deletion"),
        frozenset({"usage_input_ids", "asset_line_item_ids"}),
    ),
}
"""The jobs whose command has options of its own, with the parameters that it has one for; others take `--param`."""
_TERMS: Final = ("reason", "notify", "scope_size", "error_ceiling")
_MODES: Final = {"batch": ("--enqueue",), "dry_run": ("--dry-run", "--enqueue"), "sync": ("--sync",)}
NOTHING: Final[Mapping[str, Any]] = {}


def command_of(
    job: str,
    parameters: Mapping[str, Any],
    mode: str = "batch",
    terms: Mapping[str, Any] = NOTHING,
    secret: Sequence[str] = (),
) -> str | None:
    """The command that submits such a run; None where its parameters are too many, or it has no option for one.

    What is None, or false without an option, is left out. In place of a ``secret`` its name stands.
    """
    words = ["batchwright", "run", job]
    for name, given in _shown(parameters, secret).items():
        values = given if isinstance(given, list) else [given]
        has_option = name in OPTIONS.get(job, ())
        if len(values) > MOST_VALUES or (job in OPTIONS and not has_option and given is not False):
            return None
        for value in values if has_option or job not in OPTIONS else ():
            text = _text(value)
            option = f"--{option_of(name, isinstance(given, list))}"
            words += [option, text] if has_option else ["--param", f"{name}={text}"]
    for name in filter(terms.__contains__, _TERMS):
        for value in terms[name] if isinstance(terms[name], list) else [terms[name]]:
            words += [f"--{name.replace('_', '-')}", _text(value)]
    return shlex.join([*words, *_MODES.get(mode, ())])


def call_of(
    base_url: str,
    job: str,
    parameters: Mapping[str, Any],
    mode: str = "batch",
    terms: Mapping[str, Any] = NOTHING,
    secret: Sequence[str] = (),
) -> str:
    """The call of the API that does, for a shell whose ``$TOKEN`` holds a token."""
    body = {"job": job, "parameters": _shown(parameters, secret), "mode": mode, **terms}
    return (
        f"curl -X POST {shlex.quote(base_url.rstrip('/') + '/api/v1/runs')} \\\n"
        '  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(json.dumps(body, indent=2, ensure_ascii=False))}"
    )


def _shown(parameters: Mapping[str, Any], secret: Sequence[str]) -> dict[str, Any]:
    given = {name: value for name, value in parameters.items() if value is not None}
    return given | {name: f"<{name}>" for name in secret if name in given}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
