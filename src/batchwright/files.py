"""The one writer of files that somebody names: for the bad lines of an import, for backups.

A file appears whole under its name, or not at all. What would be destroyed, or what somebody else may have put there,
is refused: links, directories, disks, files of other users, write-protected ones, and those the caller protects.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS_HERE = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class CannotWrite(Exception):
    """The file that was named cannot, or must not, be written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")


class NewFile:
    """A file on its way. Until ``publish`` nothing stands under its name."""

    def __init__(self, path: Path, descriptor: int, temporary: Path | None, *, replaces: bool) -> None:
        self.path = path
        self.temporary = temporary
        """Where it is written meanwhile; ``None`` for a stream or a device, which is written straight."""
        self._descriptor = descriptor
        self._replaces = replaces
        self._text: io.TextIOWrapper | None = None

    def text(self) -> IO[str]:
        """The file as a stream of UTF-8 text, line ends as written. It raises ``CannotWrite``."""
        if self._text is None:
            raw = _Raw(self.path, self._descriptor)
            self._text = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", newline="")
        return self._text

    def publish(self) -> None:
        """Put it under its name, after all of it is on the disk. Raises ``CannotWrite``."""
        if self._text is not None:
            self._text.flush()
        try:
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                os.fsync(self._descriptor)
            if self.temporary is not None:
                self.check_untouched()
                self._put(self.temporary)
        except OSError as error:
            raise CannotWrite(self.path, f"cannot be written: {reason_of(error)}") from error

    def check_untouched(self) -> None:
        """Raise ``CannotWrite`` where somebody has put something else in the place of the temporary file."""
        written = os.fstat(self._descriptor)
        if self.temporary is not None and not os.path.samestat(written, os.lstat(self.temporary)):
            raise CannotWrite(self.path, "cannot be written: somebody has moved its temporary file")

    def close(self) -> None:
        """Close it, and take the temporary file away."""
        with contextlib.suppress(CannotWrite):
            if self._text is not None:
                self._text.close()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        if self.temporary is not None:
            self.temporary.unlink(missing_ok=True)

    def _put(self, temporary: Path) -> None:
        if self._replaces:
            os.replace(temporary, self.path)
        else:
            _link_or_rename(temporary, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def new_file(
    path: Path, *, sources: Sequence[Path], protected: Mapping[Path, str], may_replace: bool
) -> Iterator[NewFile]:
    """A file to write in the block; without ``publish`` in it there is none.

    Its mode is never wider than that of any of the ``sources``, which are what it is made of, nor than that of the
    file it replaces. ``protected`` says of files that must not be written what they are ("the database").
    Raises ``CannotWrite``.
    """
    try:
        file = _opened(path, sources, protected, may_replace)
    except OSError as error:
        raise CannotWrite(path, f"cannot be written: {reason_of(error)}") from error
    try:
        yield file
    finally:
        file.close()


def reason_of(error: OSError) -> str:
    """What the system says, a full disk in plain words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error.strerror})"
    return error.strerror or str(error)


def _opened(path: Path, sources: Sequence[Path], protected: Mapping[Path, str], may_replace: bool) -> NewFile:
    _refuse_protected(path, None, protected)
    there = _lstat(path)
    if there is not None and not may_replace:
        raise CannotWrite(path, "exists already")
    number = _number_of_own_descriptor(path)
    if number is not None:
        descriptor = os.dup(number)
        try:
            _refuse_protected(path, os.fstat(descriptor), protected)
        except BaseException:
            os.close(descriptor)
            raise
        return NewFile(path, descriptor, None, replaces=False)
    if there is not None and not stat.S_ISREG(there.st_mode):
        return NewFile(path, _opened_stream(path, there), None, replaces=False)
    if there is not None:
        _refuse_others(path, there)
    folder = path.parent.resolve()
    # No part of the name that was given: that one may be as long as names can be.
    temporary = folder / f".batchwright-{secrets.token_hex(8)}.partial"
    before = [os.stat(source) for source in sources] + ([there] if there else [])
    mode = 0o666
    for source in before:
        mode &= source.st_mode
    descriptor = os.open(temporary, _CREATE, mode | stat.S_IWUSR)
    try:
        _narrow_group(descriptor, before)
    except BaseException:
        os.close(descriptor)
        temporary.unlink()
        raise
    return NewFile(folder / path.name, descriptor, temporary, replaces=there is not None)


def _refuse_protected(path: Path, opened: os.stat_result | None, protected: Mapping[Path, str]) -> None:
    """By name, since one that is not there now would be taken for ours later; and whatever leads to the same file."""
    place = path.parent.resolve() / path.name
    found = opened
    if found is None:
        with contextlib.suppress(OSError, ValueError):
            found = os.stat(path)
    for kept, what in protected.items():
        is_there = kept.name == place.name and kept.parent.resolve() == place.parent
        if is_there or _is_same(kept, found):
            raise CannotWrite(path, f"is {what}, and would be overwritten")


def _is_same(path: Path, found: os.stat_result | None) -> bool:
    try:
        return found is not None and os.path.samestat(os.stat(path), found)
    except OSError:
        return False


def _refuse_others(path: Path, there: os.stat_result) -> None:
    if there.st_uid != os.geteuid():
        raise CannotWrite(path, "belongs to another user, and would be replaced")
    if not there.st_mode & stat.S_IWUSR:  # the system asks this of no administrator, and of no rename
        raise CannotWrite(path, "is write-protected")


def _opened_stream(path: Path, there: os.stat_result) -> int:
    """A descriptor of a pipe or a character device, which must be the system's or our own."""
    if stat.S_ISLNK(there.st_mode):
        raise CannotWrite(path, f"is a link to {os.readlink(path)}: name the file itself")
    if not (stat.S_ISFIFO(there.st_mode) or stat.S_ISCHR(there.st_mode)):
        raise CannotWrite(path, "is neither a plain file nor a stream")
    if there.st_uid not in (0, os.geteuid()):
        raise CannotWrite(path, "belongs to another user")
    # Without O_NONBLOCK the opening would wait for a reader, which may never come.
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise CannotWrite(path, "cannot be written: nobody reads from it") from error
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def _number_of_own_descriptor(path: Path) -> int | None:
    """The descriptor of this process that `/dev/stdout`, `/dev/fd/63` and the like name; ``None`` for other paths.

    Links are followed in `/dev` alone: elsewhere, as in `/dev/shm`, anybody may have made them.
    """
    own, place = Path(f"/proc/{os.getpid()}/fd"), path.parent.resolve() / path.name
    if place.parent == Path("/dev") and place.is_symlink():
        target = place.parent / os.readlink(place)
        place = target.parent.resolve() / target.name
    return int(place.name) if place.parent == own and place.name.isdigit() else None


def _narrow_group(descriptor: int, sources: Sequence[os.stat_result]) -> None:
    """Give it the group of its sources; where that cannot be, the group may do no more than anybody."""
    made = os.fstat(descriptor)
    groups = {source.st_gid for source in sources}
    if groups <= {made.st_gid}:
        return
    if len(groups) == 1:
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, -1, groups.pop())
            return
    others = (made.st_mode & 0o007) << 3
    os.fchmod(descriptor, stat.S_IMODE(made.st_mode) & (0o707 | others))


def _link_or_rename(temporary: Path, path: Path) -> None:
    """Put it where nothing is: other than a rename, a link overwrites nothing that came meanwhile."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS_HERE:
            raise
        if _lstat(path) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(temporary, path)


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


class _Raw(io.RawIOBase):
    """A descriptor that says of every fault which file it is about; who reads a pipe and has gone is one, too."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        try:
            return os.write(self._descriptor, content)  # type: ignore[arg-type]  # a buffer
        except OSError as error:
            raise CannotWrite(self._path, f"cannot be written: {reason_of(error)}") from error
