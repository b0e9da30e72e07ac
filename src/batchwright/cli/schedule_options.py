"""The options of a schedule's fields, the same for `schedules add` and `schedules update`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from batchwright.operations.schedules.cron import read_last_moment, read_moment


class _Clear:
    """What `none` means for a field that can be without a value."""


CLEAR = _Clear()


class OrNone(click.ParamType[Any]):
    """A value of another type, or the word `none`, which takes the value away."""

    def __init__(self, inner: click.ParamType[Any] = click.STRING) -> None:
        self.inner = inner
        self.name = inner.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`CLEAR`, or the value as the other type has it."""
        return CLEAR if value == "none" else self.inner.convert(value, param, ctx)


class Moment(click.ParamType[Any]):
    """A time in ISO 8601, with or without a zone. Raises ``Refused``. The ``last`` of a window may be a date alone."""

    name = "time"

    def __init__(self, *, last: bool = False) -> None:
        self._read = read_last_moment if last else read_moment

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The time as it was typed."""
        field = param.opts[0] if param is not None else "time"
        return self._read(value, field=field) if isinstance(value, str) else value


_NATURAL = click.IntRange(min=0)
_POSITIVE = click.IntRange(min=1)

_OPTIONS = {
    "time_zone": click.option(
        "--time-zone", metavar="Z", help="Time zone of its times, an IANA name (default: UTC)."
    ),
    "misfire": click.option(
        "--misfire",
        metavar="P",
        help="What becomes of times that were missed: skip, latest (default; one run for all of them), or all.",
    ),
    "grace_seconds": click.option(
        "--grace",
        "grace_seconds",
        type=OrNone(_NATURAL),
        metavar="S",
        help="Seconds; a missed time that is later is not run.",
    ),
    "cap": click.option(
        "--cap", type=_POSITIVE, metavar="N", help="Most late runs of misfire all (default: 24)."
    ),
    "overlap": click.option(
        "--overlap",
        metavar="P",
        help="While an earlier run has not ended: skip (default), queue behind it, or allow both.",
    ),
    "start": click.option(
        "--start", type=OrNone(Moment()), metavar="T", help="Nothing fires before; ISO 8601, in its zone."
    ),
    "end": click.option(
        "--end",
        type=OrNone(Moment(last=True)),
        metavar="T",
        help="Nothing fires after; a date alone is the whole day.",
    ),
    "owner": click.option("--owner", metavar="WHO", help="Who its runs belong to and who gets their mail."),
    "start_within_minutes": click.option(
        "--start-within",
        "start_within_minutes",
        type=OrNone(_POSITIVE),
        metavar="MIN",
        help="Tell when a run has not started by then.",
    ),
    "finish_within_minutes": click.option(
        "--finish-within",
        "finish_within_minutes",
        type=OrNone(_POSITIVE),
        metavar="MIN",
        help="Tell when a run has not ended by then.",
    ),
    "ping": click.option(
        "--ping", type=OrNone(), metavar="URL", help="Called after each success: a dead man's switch."
    ),
    "reason": click.option(
        "--reason", type=OrNone(), metavar="TEXT", help="Why its runs are made; shown in the log."
    ),
    "scope_size": click.option(
        "--scope-size", type=OrNone(_POSITIVE), metavar="N", help="Records per scope of its runs."
    ),
    "error_ceiling": click.option(
        "--error-ceiling",
        type=OrNone(),
        metavar="N|P%",
        help="Stop a run at more errors than that, or percent of records.",
    ),
    "mail_owner": click.option(
        "--mail/--no-mail",
        "mail_owner",
        default=None,
        help="Whether the owner gets the mail of its runs.",
    ),
    "notify": click.option(
        "--notify", metavar="ADDRESS", multiple=True, help="Mail its results there, too; may be repeated."
    ),
}
"""By field of `ScheduleRequest`."""

_param_option = click.option(
    "--param",
    "texts",
    metavar="NAME=VALUE",
    multiple=True,
    help="A parameter of the job; repeated for a list.",
)


def schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets ``fields``, those that were given, and ``texts`` of ``--param``."""

    @functools.wraps(command)
    def gathered(*args: Any, **values: Any) -> Any:
        fields = {field: values.pop(field) for field in _OPTIONS}
        return command(*args, fields=_given(**fields), **values)

    wrapped: Callable[..., Any] = gathered
    for option in reversed(_OPTIONS.values()):
        wrapped = option(wrapped)
    return _param_option(wrapped)


def _given(notify: tuple[str, ...], **values: Any) -> dict[str, Any]:
    given = {field: None if value is CLEAR else value for field, value in values.items() if value is not None}
    if notify:
        given["notify"] = () if notify == ("none",) else notify
    return given
