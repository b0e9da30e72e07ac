"""Real worker processes on one database: started, killed, started again as a supervisor would, and listened to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.soak.probe import AIMS, FOLDER, LOG, MAIL_HOLD

ROOT: Final = Path(__file__).resolve().parents[2]
MAIL_HOLD_SECONDS: Final = 3.0
ORPHANS_MAY_LIVE_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 30.0
START_SECONDS: Final = 30.0
_READY: Final = b"Working on"
_ENTRY_POINTS: Final = "[batchwright.subscribers]\nsoak = tests.soak.loaded:tell\n"
_METADATA: Final = "Metadata-Version: 2.1\nName: soak-probe\nVersion: 1\n"


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a process is to halt: at a point of a run, the next time but `skip`; it waits there if it is to `hold`."""

    at: str
    skip: int = 0
    hold: bool = True
    in_pool: bool = False
    """Only where a pool process gets there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the processes' log. `time` is on the monotonic clock, which all processes of a machine share."""

    time: float
    pid: int
    event: str
    run_id: str | None = None
    point: str | None = None
    trial: bool = False
    scope: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Started:
    process: subprocess.Popen[bytes]
    said: Path
    since: float


class Fleet:
    """So many `batchwright worker` processes, each the leader of a session of its own."""

    def __init__(self, folder: Path, url: str, *, workers: int, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.said_in = folder
        """Where the next workers' output goes."""
        self.faults: list[str] = []
        self._wanted = workers
        self._started: list[_Started] = []
        self._killed: set[int] = set()
        self._number = 0
        self._read_to = 0
        (folder / AIMS).mkdir(parents=True)
        info = folder / "path" / "soak_probe-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(_METADATA)
        (info / "entry_points.txt").write_text(_ENTRY_POINTS)
        (folder / LOG).touch()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BATCHWRIGHT_")},
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder / 'path'}",
            FOLDER: str(folder),
            MAIL_HOLD: str(MAIL_HOLD_SECONDS),
            "BATCHWRIGHT_DATABASE_URL": url,
            **settings,
        }

    # Processes

    def tend(self) -> None:
        """Start what is missing. A worker that ended although nobody killed it is a fault, with what it said."""
        for one in [one for one in self._started if one.process.poll() is not None]:
            self._started.remove(one)
            if one.process.pid not in self._killed:
                self.faults.append(
                    f"a worker ended by itself with {one.process.returncode}, it said: {_tail(one.said)}"
                )
        while len(self._started) < self._wanted:
            self._started.append(self._start())

    def ready(self) -> None:
        """Start what is missing, and wait until every worker is at work."""
        self.tend()
        for one in self._started:
            self._wait_until_ready(one)

    def pids(self) -> list[int]:
        """Of the workers that run; each is the number of its session, too, which its pool belongs to."""
        return [one.process.pid for one in self._started if one.process.poll() is None]

    def worker_of(self, pid: int) -> int | None:
        """The worker that a process belongs to; None when it is gone."""
        try:
            leader = os.getsid(pid)
        except ProcessLookupError:
            return None
        return leader if leader in self.pids() else None

    def kill(self, pid: int) -> bool:
        """SIGKILL to a process; False when there was nobody left to kill."""
        leader = self.worker_of(pid)
        if leader is None:
            return False
        if leader == pid:
            self._killed.add(leader)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    def pool_of(self, leader: int) -> list[int]:
        """The pool processes of a worker, also after its own death."""
        return [pid for pid in _members({leader}) if pid != leader]

    def ended(self, pid: int) -> int | None:
        """How a worker ended: its return code; None while it runs."""
        for one in self._started:
            if one.process.pid == pid:
                return one.process.poll()
        raise KeyError(pid)

    def expect_end(self, pid: int) -> None:
        """Somebody else kills this worker, and is meant to."""
        self._killed.add(pid)

    def drain(self) -> None:
        """End all by SIGTERM; each has to end with 0, and to leave nobody behind."""
        going = [one for one in self._started if one.process.poll() is None]
        for one in going:
            self._wait_until_ready(one)  # before that, the signal ends it like any other program
            one.process.terminate()
        for one in going:
            try:
                code = one.process.wait(DRAIN_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            if code != 0:
                self.faults.append(f"a worker ended with {code} after SIGTERM, it said: {_tail(one.said)}")
        self._started = [one for one in self._started if one not in going]

    def orphans(self) -> list[int]:
        """Processes of killed workers that are still there when they should have ended by themselves."""
        until = time.monotonic() + ORPHANS_MAY_LIVE_SECONDS
        while (left := _members(self._killed)) and time.monotonic() < until:
            time.sleep(0.05)
        return left

    def destroy(self) -> None:
        """Kill whatever is left of every worker that there was."""
        for pid in _members({one.process.pid for one in self._started} | self._killed):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for one in self._started:
            one.process.wait()

    @staticmethod
    def _wait_until_ready(one: _Started) -> None:
        until = time.monotonic() + START_SECONDS
        while _READY not in one.said.read_bytes() and one.process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)

    def _start(self) -> _Started:
        self._number += 1
        said = self.said_in / f"worker-{self._number}.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", "from batchwright.cli.main import main; main()", "worker"],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        return _Started(process, said, time.monotonic())

    # Aims and events

    def aim(self, run_id: str, aims: Sequence[Aim]) -> None:
        """Halt a run at each of these, once."""
        for number, aim in enumerate(aims):
            file = self.folder / AIMS / f"{run_id}.{number:03}"
            draft = file.with_name(f".{file.name}")
            draft.write_text(json.dumps(asdict(aim)))
            draft.rename(file)

    def forget_aims(self) -> None:
        """Take away the aims that nobody has reached."""
        for name in os.listdir(self.folder / AIMS):
            with suppress(FileNotFoundError):
                (self.folder / AIMS / name).unlink()

    def hits(self) -> int:
        """How many aims were reached, also those that have not been heard of yet."""
        return sum(1 for name in os.listdir(self.folder) if name.startswith("hit-"))

    def release(self, run_id: str, number: int = 0) -> None:
        """Let the process that is held, or will be, at this aim of a run go on."""
        (self.folder / f"go-{run_id}.{number:03}").touch()

    def hear(self) -> list[Entry]:
        """What the processes have written down since the last call."""
        with (self.folder / LOG).open("rb") as log:
            log.seek(self._read_to)
            data = log.read()
        whole = data.rfind(b"\n") + 1
        self._read_to += whole
        return [_entry(json.loads(line)) for line in data[:whole].splitlines()]


@contextmanager
def fleet(folder: Path, url: str, *, workers: int, settings: Mapping[str, str]) -> Iterator[Fleet]:
    """A fleet for the length of the block, all of whose processes are gone afterwards."""
    made = Fleet(folder, url, workers=workers, settings=settings)
    try:
        yield made
    finally:
        made.destroy()


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Look until it is so. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.002)


def _entry(line: dict[str, Any]) -> Entry:
    known = {name: line.pop(name) for name in Entry.__slots__ if name in line}
    return Entry(**known, more=line)


def _members(sessions: set[int]) -> list[int]:
    """Processes of these sessions, but for those that have ended and only wait to be asked how."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                state, _, _, session, *_ = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if int(session) in sessions and state not in "ZX":
                    found.append(int(name))
    return found


def _tail(said: Path) -> str:
    return said.read_text(errors="replace")[-3_000:]
