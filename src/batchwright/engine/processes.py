"""This process and others on this machine: their names, when they started, and how to end one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from batchwright.engine.store import lock_holders
from batchwright.engine.store.leases import Session


def this_process() -> Session:
    """The running process, as a taker can recognise it; with its pid namespace: elsewhere its number means another."""
    return Session("process", os.getpid(), f"{started(os.getpid()) or ''}{_namespace()}")


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


def end(session: Session, lease_file: Path) -> str | None:
    """SIGKILL a recorded process that still has this very file of leases open; why that cannot be done, or ``None``.

    A number and a start may have come with a copy of the file (a drill, a snapshot), whose owner works on the
    original: so who does not have this one open is left alone. This process is, too.
    """
    start, _, namespace = session.started.partition(_NAMESPACE)
    if namespace and f"{_NAMESPACE}{namespace}" != _namespace():
        return "it runs in another pid namespace, such as another container"
    if session.pid == os.getpid() or started(session.pid) != start:
        return None
    try:
        if lock_holders.has_open(session.pid, lease_file):
            os.kill(session.pid, signal.SIGKILL)
    except PermissionError:
        return "it belongs to another user"
    return None


_NAMESPACE = " pid:"


def _namespace() -> str:
    """The pid namespace of this process, where the system has such a thing."""
    try:
        return f" {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
