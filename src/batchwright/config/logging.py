"""Logs go to stderr, as JSON lines or coloured on a terminal; never to stdout, which carries answers."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from batchwright.config.secrets import without_password
from batchwright.config.stderr import lines_lost
from batchwright.config.texts import clean, wants_no_colour
from batchwright.config.tracebacks import traceback_text, write_traceback

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_NORMAL = 2


def level_of(verbosity: int) -> int:
    """The lowest level logged: 0 warnings, 1 (`-v`) info, 2 (`-vv`) debug, -1 (`-q`) errors, -2 critical."""
    return _LEVELS[min(max(_NORMAL - verbosity, 0), len(_LEVELS) - 1)]


def configure_logging(verbosity: int = 0) -> None:
    """Sets up structlog and the standard library's logging. Only the edges call it, once per process.

    Other libraries are heard from warnings up at any verbosity: at info SQLAlchemy prints each statement.
    """
    level = level_of(verbosity)
    _configure_ours(level)
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared_processors(), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers()],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    logging.captureWarnings(True)


def log_to_stderr() -> None:
    """Has our own warnings on stderr where nobody has set up structlog: left alone, it prints all to stdout.

    For programs that use the package as a library; their logging of the standard library stays as it is.
    """
    if not structlog.is_configured():
        _configure_ours(logging.WARNING)


def bind(**facts: object) -> AbstractContextManager[None]:
    """A block in which every log line carries `facts`, such as `bind(run_id="JR-00000042", scope=3)`."""
    return structlog.contextvars.bound_contextvars(**facts)


def _configure_ours(level: int) -> None:
    structlog.configure(
        processors=[*_shared_processors(), *_renderers()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_StderrLogger,
        cache_logger_on_first_use=False,
    )


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _without_passwords,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderers() -> list[Processor]:
    if sys.stderr.isatty():
        # The richer traceback prints local variables, and those may hold a password.
        console = structlog.dev.ConsoleRenderer(
            colors=not wants_no_colour(os.environ), exception_formatter=write_traceback
        )
        return [_Safely(_harmless, console)]
    return [
        _Safely(
            structlog.processors.ExceptionRenderer(_formatted), structlog.processors.JSONRenderer(default=str)
        )
    ]


def _without_passwords(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    return {key: without_password(value) if isinstance(value, str) else value for key, value in event.items()}


def _harmless(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Texts that steer no terminal; in a line of JSON they are escaped anyway."""
    return {key: clean(value) if isinstance(value, str) else value for key, value in event.items()}


def _formatted(exc_info: Any) -> str:
    return traceback_text(exc_info[1])


class _Safely:
    """Processors that make the line; where one raises, as over a value that has no text, it is the bare event."""

    def __init__(self, *processors: Processor) -> None:
        self._processors = processors

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> Any:
        made: Any = dict(event)
        try:
            for processor in self._processors:
                made = processor(logger, name, made)
        except Exception as error:
            bare = {"event": str(event.get("event")), "level": name, "not_shown": type(error).__name__}
            return json.dumps(bare)
        return made


class _StderrLogger:
    """Writes to what `sys.stderr` is at that moment: a progress bar replaces it while it is on screen."""

    lost: ClassVar = 0
    """How many lines could not be written since the last one that could."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, message: str) -> None:
        """Write a line, or drop it and count it: writing the log never raises, and decides nothing."""
        if not _is_written(message):
            _StderrLogger.lost += 1
        elif lost := _StderrLogger.lost:
            _StderrLogger.lost = 0
            structlog.get_logger().warning("lines of the log were lost", lines=lost)

    debug = info = warning = error = critical = msg


class _StderrHandler(logging.Handler):
    """The same for the lines of other libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        _StderrLogger().msg(self.format(record))


def _is_written(line: str) -> bool:
    stream = sys.stderr
    before = lines_lost(stream)
    try:
        stream.write(line + "\n")
        stream.flush()
    except (OSError, ValueError, AttributeError):  # the disk is full, the stream closed, or there is none
        return False
    return lines_lost(stream) == before
