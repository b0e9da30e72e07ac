"""Logs go to stderr, as JSON lines or coloured on a terminal; never to stdout, which carries answers."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager
from typing import Any

import structlog
from structlog.typing import Processor

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
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderers() -> list[Processor]:
    if sys.stderr.isatty():
        # The richer traceback prints local variables, and those may hold a password.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]


class _StderrLogger:
    """Writes to what `sys.stderr` is at that moment: a progress bar replaces it while it is on screen."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, message: str) -> None:
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = msg


class _StderrHandler(logging.Handler):
    """The same for the lines of other libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        _StderrLogger().msg(self.format(record))
