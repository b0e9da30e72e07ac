"""This process and others on this machine: their names, when they started, and how to end one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from batchwright.engine.store.leases import Session


def this_process() -> Session:
    """The running process, as a taker can recognise it."""
    return Session("process", os.getpid(), started(os.getpid()) or "")


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def owner_name() -> str:
    """Host and process number, for people: who drives a run."""
    return f"{socket.gethostname()}/{os.getpid()}"


def started(pid: int) -> str | None:
    """When the process started, in the system's own terms; ``None`` when there is no such process.

    On Linux the boot's id and the ticks since then: neither changes when the clock is set.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The second field is the program's name in parentheses and may hold blanks; field 22 is the start.
            ticks = stat.read_text().rpartition(")")[2].split()[19]
        except (FileNotFoundError, ProcessLookupError):
            return None
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{ticks}"
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() or None


def end(session: Session) -> None:
    """SIGKILL the process, if it is still the one that was recorded and is not this one."""
    if session.pid != os.getpid() and started(session.pid) == session.started:
        os.kill(session.pid, signal.SIGKILL)
