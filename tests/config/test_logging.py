import json
import os
import pty
import subprocess
import sys

import pytest

from batchwright.config.logging import level_of

PROGRAM = """
import logging, sys, warnings
import structlog
from batchwright.config.logging import bind, configure_logging

configure_logging(int(sys.argv[1]))
log = structlog.get_logger()
with bind(run_id="JR-00000042", scope=3):
    log.debug("counted")
    log.info("scope done", processed=200)
    logging.getLogger("library").info("statement")
    logging.getLogger("library").warning("slow")
log.error("run ended")
try:
    secret = "hush"
    raise ValueError("no price")
except ValueError:
    log.exception("unforeseen")
warnings.warn("old")
"""


def output_of(verbosity: int) -> subprocess.CompletedProcess[str]:
    # A process of its own: what is set up is the process's.
    command = [sys.executable, "-c", PROGRAM, str(verbosity)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_lines_are_json_on_stderr_and_nothing_is_on_stdout() -> None:
    done = output_of(1)
    assert done.stdout == ""
    events = [json.loads(line)["event"].partition("\n")[0] for line in done.stderr.splitlines()]
    assert events[:4] == ["scope done", "slow", "run ended", "unforeseen"]
    assert events[4].endswith("UserWarning: old")


def test_no_line_has_the_password_of_a_url() -> None:
    program = (
        "import logging, structlog\n"
        "from batchwright.config.logging import configure_logging\n"
        "configure_logging()\n"
        "structlog.get_logger().warning('lost', reason='to postgresql://u:hush@host/db')\n"
        "logging.getLogger('driver').warning('lost postgresql://u:hush@host/db')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stderr.count("u:****@host/db"), "hush" in done.stderr) == (2, False)


def test_bound_facts_are_on_each_line_of_their_block_and_on_no_other() -> None:
    first, library, outside, *_ = map(json.loads, output_of(1).stderr.splitlines())
    assert (first["run_id"], first["scope"], first["processed"]) == ("JR-00000042", 3, 200)
    assert (library["run_id"], library["scope"], library["logger"]) == ("JR-00000042", 3, "library")
    assert "run_id" not in outside


def test_a_line_has_its_level_and_its_instant_in_utc() -> None:
    line = json.loads(output_of(1).stderr.splitlines()[0])
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_logged_with_its_traceback_and_without_local_variables() -> None:
    lines = output_of(0).stderr
    line = json.loads(lines.splitlines()[2])
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: no price")
    assert "hush" not in lines


@pytest.mark.parametrize(
    ("verbosity", "events"),
    [
        (2, ["counted", "scope done", "slow", "run ended", "unforeseen"]),
        (0, ["slow", "run ended", "unforeseen"]),
        (-1, ["run ended", "unforeseen"]),
        (-2, []),
    ],
)
def test_the_verbosity_decides_what_is_shown(verbosity: int, events: list[str]) -> None:
    shown = [json.loads(line)["event"] for line in output_of(verbosity).stderr.splitlines()]
    assert [event for event in shown if "UserWarning" not in event] == events


def test_a_verbosity_beyond_the_last_level_is_the_last_level() -> None:
    assert (level_of(9), level_of(-9)) == (level_of(2), level_of(-2))


def test_a_terminal_gets_readable_lines() -> None:
    reader, terminal = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "0"], stderr=terminal, stdout=subprocess.PIPE)
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(reader, 4096):
            shown += part
    except OSError:  # the other end is closed: on Linux that is how a terminal ends
        pass
    os.close(reader)
    process.communicate()
    assert b"run ended" in shown
    assert b"\x1b[" in shown
    assert b'{"' not in shown
    assert b"ValueError: no price" in shown
    assert b"hush" not in shown


LIBRARY = """
import structlog
from batchwright.config.logging import log_to_stderr

log_to_stderr()
log = structlog.get_logger()
log.info("scope done")
log.warning("scope tried again")
"""


def test_a_program_that_set_up_no_logging_gets_warnings_on_stderr_and_nothing_on_stdout() -> None:
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["scope tried again"]


def test_a_program_that_set_up_its_logging_keeps_it() -> None:
    program = LIBRARY.replace("\nlog_to_stderr()", "\nstructlog.configure()\nlog_to_stderr()")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "scope done" in done.stdout
