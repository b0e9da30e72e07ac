"""A log that nobody can write or read any more: full disk, reader gone, reader stopped, stream closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress

import pytest

PROGRAM = """
import os, sys, time
import click, structlog
from batchwright.config.logging import configure_logging
from batchwright.config.stderr import make_stderr_unfailing, write_at_once

make_stderr_unfailing()
configure_logging(0)
log = structlog.get_logger()
{steps}
print("done")
"""


def run(steps: str, **streams: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.replace("{steps}", steps)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=60, **streams)  # type: ignore[call-overload, no-any-return]


def test_a_full_disk_under_the_log_stops_nothing_and_leaves_the_exit_code() -> None:
    with open("/dev/full", "w") as full:
        done = run("log.warning('one'); click.echo('two', err=True); write_at_once(b'three')", stderr=full)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_reader_of_the_log_that_is_gone_stops_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("log.warning('one'); log.error('two')", stderr=writer)
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_reader_that_stands_still_keeps_the_log_waiting_once_and_the_lines_lost_are_told_of_later() -> None:
    steps = """
before = time.monotonic()
for number in range(200):
    log.warning("x" * 4000, number=number)
assert time.monotonic() - before < 20  # a wait for each would be more than three minutes
print("stuck", flush=True)
sys.stdin.readline()
log.warning("again")
"""
    command = [sys.executable, "-c", PROGRAM.replace("{steps}", steps)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "stuck\n"
        # The reader goes on, and only then the program: else the next line may be lost as well.
        os.set_blocking(process.stderr.fileno(), False)
        read = b""
        with suppress(BlockingIOError):
            while part := os.read(process.stderr.fileno(), 65536):
                read += part
        os.set_blocking(process.stderr.fileno(), True)
        output, rest = process.communicate("\n", timeout=60)
    assert (process.returncode, output) == (0, "done\n")
    err = read.decode() + rest
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{") and line.endswith("}")]
    shown = [line for line in lines if "number" in line]
    [lost] = [line["lines"] for line in lines if line["event"] == "lines of the log were lost"]
    assert lost + len(shown) == 200
    assert [line["event"] for line in lines[-2:]] == ["again", "lines of the log were lost"]


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_file_that_is_opened_does_not_take_the_place_of_a_closed_stream(
    closed: str, tmp_path: object
) -> None:
    steps = """
file = open("precious", "w")
assert file.fileno() > 2
log.error("one"); write_at_once(b"two")
"""
    shell = f'exec "$0" -c "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, PROGRAM.replace("{steps}", steps).replace('print("done")', "")],
        cwd=str(tmp_path), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    with open(f"{tmp_path}/precious") as file:
        assert file.read() == ""


def test_threads_that_log_at_once_lose_nothing_and_raise_nothing() -> None:
    steps = """
import threading
together = threading.Barrier(4)
raised = []
def write(number):
    together.wait()
    try:
        for line in range(500):
            sys.stderr.write(f"{number} {line}\\n")
    except BaseException as error:
        raised.append(error)
threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert raised == [], raised
"""
    done = run(steps, stderr=subprocess.STDOUT)
    written = set(done.stdout.splitlines())
    assert written == {f"{number} {line}" for number in range(4) for line in range(500)} | {"done"}


def test_what_cannot_be_shown_is_logged_as_the_bare_event() -> None:
    steps = """
class Wrong:
    def __str__(self): raise OSError("no text")
    __repr__ = __str__
log.warning("odd", value=Wrong())
"""
    done = run(steps, stderr=subprocess.STDOUT)
    odd, last = done.stdout.splitlines()
    assert json.loads(odd) == {"event": "odd", "level": "warning", "not_shown": "OSError"}
    assert last == "done"
