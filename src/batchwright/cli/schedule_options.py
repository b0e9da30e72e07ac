"""The options of a schedule's terms, the same for `schedules add` and `schedules update`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import click

from batchwright.operations.schedules.cron import read_moment


class _Clear:
    """What `none` means for a term that can be without a value."""


CLEAR = _Clear()


class OrNone(click.ParamType[Any]):
    """A value of another type, or the word `none`, which takes the term away."""

    def __init__(self, inner: click.ParamType[Any] = click.STRING) -> None:
        self.inner = inner
        self.name = inner.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`CLEAR`, or the value as the other type has it."""
        return CLEAR if value == "none" else self.inner.convert(value, param, ctx)


class Moment(click.ParamType[Any]):
    """A time in ISO 8601, with or without a zone. Raises ``Refused``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The time as it was typed."""
        field = param.opts[0] if param is not None else "time"
        return read_moment(value, field=field) if isinstance(value, str) else value


_WHOLE = click.IntRange(min=0)
_MINUTES = click.IntRange(min=1)

# Option, the term of `ScheduleOrder` that it is about, and the rest of its declaration.
_OPTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "--time-zone",
        "time_zone",
        {"metavar": "Z", "help": "Whose clock it goes by, an IANA name; UTC without."},
    ),
    (
        "--misfire",
        "misfire",
        {
            "metavar": "P",
            "help": "What becomes of times that were missed: skip, latest (default; one run for all of them), or all.",
        },
    ),
    (
        "--grace",
        "grace_seconds",
        {"type": OrNone(_WHOLE), "metavar": "S", "help": "Seconds; a missed time that is later is not run."},
    ),
    (
        "--cap",
        "cap",
        {"type": _MINUTES, "metavar": "N", "help": "Most late runs of misfire all; 24 without."},
    ),
    (
        "--overlap",
        "overlap",
        {
            "metavar": "P",
            "help": "While an earlier run has not ended: skip (default), queue behind it, or allow both.",
        },
    ),
    (
        "--start",
        "start",
        {"type": OrNone(Moment()), "metavar": "T", "help": "Nothing fires before; ISO 8601, in its zone."},
    ),
    ("--end", "end", {"type": OrNone(Moment()), "metavar": "T", "help": "Nothing fires after."}),
    ("--owner", "owner", {"metavar": "WHO", "help": "Who its runs belong to and who gets their mail."}),
    (
        "--start-within",
        "start_within_minutes",
        {"type": OrNone(_MINUTES), "metavar": "MIN", "help": "Tell when a run has not started by then."},
    ),
    (
        "--finish-within",
        "finish_within_minutes",
        {"type": OrNone(_MINUTES), "metavar": "MIN", "help": "Tell when a run has not ended by then."},
    ),
    (
        "--ping",
        "ping",
        {"type": OrNone(), "metavar": "URL", "help": "Called after each success: a dead man's switch."},
    ),
    (
        "--reason",
        "reason",
        {"type": OrNone(), "metavar": "TEXT", "help": "Why its runs are made; shown in the log."},
    ),
    (
        "--scope-size",
        "scope_size",
        {"type": OrNone(_MINUTES), "metavar": "N", "help": "Records per scope of its runs."},
    ),
    (
        "--error-ceiling",
        "error_ceiling",
        {
            "type": OrNone(),
            "metavar": "N|P%",
            "help": "Stop a run at more errors than that, or percent of records.",
        },
    ),
    (
        "--mail/--no-mail",
        "mail_owner",
        {"default": None, "help": "Whether the owner gets the mail of its runs."},
    ),
)


def term_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets ``terms``, those that were given, and ``texts`` of ``--param``."""

    @functools.wraps(command)
    def gathered(*args: Any, notify: tuple[str, ...], **values: Any) -> Any:
        terms = {term: values.pop(term) for _, term, _ in _OPTIONS}
        return command(*args, terms=_given(terms, notify), **values)

    wrapped: Callable[..., Any] = gathered
    wrapped = click.option(
        "--notify", metavar="ADDRESS", multiple=True, help="Mail its results there, too; may be repeated."
    )(wrapped)
    for option, term, declaration in reversed(_OPTIONS):
        wrapped = click.option(option, term, **declaration)(wrapped)
    return click.option(
        "--param",
        "texts",
        metavar="NAME=VALUE",
        multiple=True,
        help="A parameter of the job; repeated for a list.",
    )(wrapped)


def _given(terms: Mapping[str, Any], notify: tuple[str, ...]) -> dict[str, Any]:
    given = {name: None if value is CLEAR else value for name, value in terms.items() if value is not None}
    if notify:
        given["notify"] = () if notify == ("none",) else notify
    return given
