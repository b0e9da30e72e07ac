"""The one writer of files that somebody names, in a folder that somebody hostile has prepared."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from batchwright.files import CannotWrite, new_file
from tests.support.users import OTHER, needs_root, run_as_other, shared_folder

WRITE_EACH = """
from pathlib import Path
from batchwright.files import CannotWrite, new_file
for name in sys.argv[1:]:
    for may_replace in (True, False):
        try:
            with new_file(Path(name), sources=[], protected={}, may_replace=may_replace) as file:
                file.text().write("ours")
                file.publish()
            print(name)
        except CannotWrite:
            pass
"""


def write(
    path: Path, text: str = "ours", *, may_replace: bool = True, sources: list[Path] | None = None
) -> None:
    with new_file(path, sources=sources or [], protected={}, may_replace=may_replace) as file:
        file.text().write(text)
        file.publish()


def hostile(folder: Path) -> list[str]:
    """Fill the folder with what may not be written; the names."""
    (folder / "precious").write_text("precious")
    (folder / "precious").chmod(0o600)
    (folder / "444").write_text("precious")
    (folder / "444").chmod(0o444)
    (folder / "link").symlink_to("precious")
    (folder / "dangling").symlink_to("made-through-a-link")
    (folder / "to-null").symlink_to("/dev/null")
    (folder / "to-stdout").symlink_to("/dev/stdout")
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "socket"))
    return ["444", "link", "dangling", "to-null", "to-stdout", "loop", "folder", "fifo", "socket"]


def state(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """What stands in it: mode, owner, group, and what is in each file or where a link leads."""
    return {path.name: (*_status(path), _content(path)) for path in sorted(folder.iterdir())}


def _status(path: Path) -> tuple[int, int, int]:
    there = path.lstat()
    return there.st_mode, there.st_uid, there.st_gid


def _content(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_text() if path.is_file() else ""


@pytest.mark.parametrize("may_replace", [True, False])
def test_nothing_in_a_hostile_folder_is_destroyed_widened_or_left_half_done(
    tmp_path: Path, may_replace: bool
) -> None:
    names = hostile(tmp_path)
    before = state(tmp_path)
    for name in names:
        with pytest.raises(CannotWrite):
            write(tmp_path / name, may_replace=may_replace)
    assert state(tmp_path) == before


@needs_root
def test_nor_by_root_among_files_of_another_user_and_disks() -> None:
    with shared_folder() as folder:
        names = hostile(folder)
        (folder / "theirs").write_text("precious")
        os.mknod(folder / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 250))
        for name in (*names, "theirs"):
            os.chown(folder / name, OTHER, OTHER, follow_symlinks=False)
        before = state(folder)
        for name in (*names, "theirs", "disk"):
            with pytest.raises(CannotWrite):
                write(folder / name)
        assert state(folder) == before


@needs_root
def test_nor_by_another_user_among_files_of_root() -> None:
    with shared_folder() as folder:
        names = hostile(folder)
        before = state(folder)
        done = run_as_other(folder, WRITE_EACH, *names, "precious", "new", modules=["batchwright.files"])
        assert (done.stdout, done.stderr) == ("new\n", "")
        after = state(folder)
        assert after.pop("new") == (stat.S_IFREG | 0o644, OTHER, OTHER, "ours")
        assert after == before


@needs_root
def test_a_pipe_of_another_user_is_not_written_to() -> None:
    with shared_folder() as folder:
        os.mkfifo(folder / "fifo")
        os.chown(folder / "fifo", OTHER, OTHER)
        reader = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(CannotWrite, match="another user"):
            write(folder / "fifo")
        os.close(reader)


def test_a_new_file_and_a_plain_one_are_written_whole(tmp_path: Path) -> None:
    for text in ("first", "second"):
        write(tmp_path / "file", text)
        assert state(tmp_path)["file"][3] == text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_name_as_long_as_names_can_be_is_written(tmp_path: Path) -> None:
    write(tmp_path / ("x" * 255), "all of it")
    assert (tmp_path / ("x" * 255)).read_text() == "all of it"


def test_until_it_is_published_nothing_stands_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("of yesterday")
    for name in ("old", "new"):
        with new_file(tmp_path / name, sources=[], protected={}, may_replace=True) as file:
            file.text().write("half")
            file.text().flush()
            assert (tmp_path / "old").read_text() == "of yesterday"
            assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_what_came_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with new_file(tmp_path / "file", sources=[], protected={}, may_replace=True) as file:
        (tmp_path / "file").symlink_to("elsewhere")
        with pytest.raises(CannotWrite, match="File exists"):
            file.publish()
    assert os.readlink(tmp_path / "file") == "elsewhere"


def test_a_temporary_file_that_somebody_exchanged_is_not_published(tmp_path: Path) -> None:
    with new_file(tmp_path / "file", sources=[], protected={}, may_replace=True) as file:
        assert file.temporary is not None
        file.temporary.unlink()
        file.temporary.symlink_to("elsewhere")
        with pytest.raises(CannotWrite, match="somebody has moved"):
            file.publish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("source", "made"), [(0o600, 0o600), (0o640, 0o640), (0o444, 0o644), (0o666, 0o644)])
def test_its_mode_is_never_wider_than_that_of_what_it_is_made_of(
    tmp_path: Path, source: int, made: int
) -> None:
    (tmp_path / "source").touch()
    (tmp_path / "source").chmod(source)
    before = os.umask(0o022)
    try:
        write(tmp_path / "file", sources=[tmp_path / "source"])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == made


def test_a_file_that_is_replaced_keeps_others_out_as_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    write(tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


@needs_root
def test_the_group_that_may_read_it_is_that_of_its_source(tmp_path: Path) -> None:
    for name, group in (("one", 4242), ("two", 0)):
        (tmp_path / name).touch(0o640)
        os.chown(tmp_path / name, 0, group)
    write(tmp_path / "of-one", sources=[tmp_path / "one"])
    write(tmp_path / "of-both", sources=[tmp_path / "one", tmp_path / "two"])
    one, both = (tmp_path / "of-one").stat(), (tmp_path / "of-both").stat()
    assert (one.st_gid, stat.S_IMODE(one.st_mode)) == (4242, 0o640)
    assert stat.S_IMODE(both.st_mode) == 0o600


def test_protected_files_are_refused_by_name_link_and_hard_link(tmp_path: Path) -> None:
    protected = {tmp_path / "ours": "the database", tmp_path / "not-there-now": "the database"}
    (tmp_path / "ours").write_text("precious")
    (tmp_path / "hard").hardlink_to(tmp_path / "ours")
    (tmp_path / "way").symlink_to(tmp_path)
    before = state(tmp_path)
    for name in ("ours", "not-there-now", "hard", "way/ours", "way/not-there-now", "x/../ours"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with (
            pytest.raises(CannotWrite, match="is the database"),
            new_file(tmp_path / name, sources=[], protected=protected, may_replace=True),
        ):
            pass
    (tmp_path / "x").rmdir()
    assert state(tmp_path) == before


def test_a_descriptor_of_ours_that_leads_to_a_protected_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ours").write_text("precious")
    with (
        (tmp_path / "ours").open("r+b") as ours,
        pytest.raises(CannotWrite, match="is the database"),
        new_file(
            Path(f"/dev/fd/{ours.fileno()}"),
            sources=[],
            protected={tmp_path / "ours": "the database"},
            may_replace=True,
        ),
    ):
        pass


def _read_pipe(tmp_path: Path, write_to: Callable[[Path], None]) -> str:
    os.mkfifo(tmp_path / "fifo")
    said: list[str] = []
    opened = threading.Event()

    def read() -> None:
        with open(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as pipe:
            os.set_blocking(pipe.fileno(), True)
            opened.set()
            assert written.wait(10)
            said.append(pipe.read())

    written = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    assert opened.wait(10)
    try:
        write_to(tmp_path / "fifo")
    finally:
        written.set()
        reader.join()
    return said[0]


def test_a_pipe_that_is_read_gets_it_straight(tmp_path: Path) -> None:
    assert _read_pipe(tmp_path, write) == "ours"


def test_a_descriptor_of_ours_gets_it_straight(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    for place in (f"/dev/fd/{writing}", f"/proc/self/fd/{writing}"):
        write(Path(place), may_replace=True)
        assert os.read(reading, 100) == b"ours"
    os.close(reading)
    os.close(writing)


def test_a_device_gets_it_straight_and_stays_one() -> None:
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    write(Path(name))
    assert os.read(ours, 100) == b"ours"
    assert stat.S_ISCHR(os.stat(name).st_mode)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("fault", "said"), [(errno.ENOSPC, "the disk is full"), (errno.EIO, "Input/output error")]
)
def test_a_disk_that_fails_is_told_of_with_the_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int, said: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CannotWrite, match=f"file cannot be written: {said}"):
        write(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_full_device_and_a_reader_that_has_gone_are_told_of(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    for descriptor, said in ((full, "the disk is full"), (writing, "Broken pipe")):
        with pytest.raises(CannotWrite, match=said):
            write(Path(f"/dev/fd/{descriptor}"))
        os.close(descriptor)


def test_on_a_disk_without_hard_links_it_is_renamed_into_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write(tmp_path / "file", may_replace=False)
    assert state(tmp_path)["file"][3] == "ours"
