"""The small files beside an SQLite database: whose they are, and who may open them.

Who may write to the database may open them, whoever made them; who may only read it may not even read them: a lock, for
which reading is enough, would keep everybody from writing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

NEW_DATABASE = 0o660
"""The widest mode of a database that is made: it holds users, amounts and mail."""


def make_database(file: Path) -> None:
    """Make an empty file for a database where there is none, open to nobody but its owner and group.

    Raises ``OSError``, also where something else than a plain file is there.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, NEW_DATABASE))
    if not stat.S_ISREG(os.stat(file).st_mode):
        raise OSError(errno.EINVAL, "what is there is not a regular file", os.fspath(file))


def open_side_file(file: Path, database: Path) -> int:
    """A descriptor of a file beside the database, which is made where it is missing. Raises ``OSError``."""
    try:
        return _opened(file)
    except FileNotFoundError:
        make_side_file(file, database)
        return _opened(file)


def make_side_file(file: Path, database: Path) -> None:
    """Make a file beside the database where it is missing, else give it owner, group and mode if we may.

    Raises ``OSError`` where something else than a plain file is there.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    adjust_side_file(file, database)


def adjust_side_file(file: Path, database: Path) -> None:
    """Give a file beside the database owner, group and mode, if we may. Raises ``OSError`` as ``make_side_file``."""
    if sys.platform != "linux":
        return
    # An ordinary descriptor would, when it is closed, take SQLite's locks on this file from the whole process.
    descriptor = os.open(file, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        there = os.fstat(descriptor)
        _require_plain(file, there)
        if stat.S_ISDIR(there.st_mode):
            return  # who opens it says so
        with contextlib.suppress(FileNotFoundError):  # the database itself: it is not made here
            _adjust(Path(f"/proc/self/fd/{descriptor}"), os.stat(database))
    finally:
        os.close(descriptor)


def _opened(file: Path) -> int:
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_plain(file, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_plain(file: Path, there: os.stat_result) -> None:
    if stat.S_ISLNK(there.st_mode):
        raise OSError(errno.ELOOP, "is a link, not a file of the database", os.fspath(file))
    if not (stat.S_ISREG(there.st_mode) or stat.S_ISDIR(there.st_mode)):
        raise OSError(errno.EINVAL, "is not a regular file", os.fspath(file))


def _adjust(opened: Path, database: os.stat_result) -> None:
    there = os.stat(opened)
    if there.st_nlink > 1:
        return  # somebody's file under another name, which an administrator would give away
    for owner, group in ((database.st_uid, database.st_gid), (-1, database.st_gid)):
        if (there.st_uid, there.st_gid) != (database.st_uid, database.st_gid):
            with contextlib.suppress(PermissionError):
                os.chown(opened, owner, group)
                break
    there = os.stat(opened)
    mode = stat.S_IRUSR | stat.S_IWUSR
    if database.st_mode & stat.S_IWGRP and there.st_gid == database.st_gid:
        mode |= stat.S_IRGRP | stat.S_IWGRP
    if database.st_mode & stat.S_IWOTH:
        mode |= 0o066
    if stat.S_IMODE(there.st_mode) != mode:
        with contextlib.suppress(PermissionError):
            os.chmod(opened, mode)
