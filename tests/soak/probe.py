"""A subscriber that writes events down, and halts its process where the soak wants to kill or to stop it."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from batchwright.engine.events import Event, Reached, RunLost, RunTakenOver, ScopeRetried, WorkerReplaced

FOLDER: Final = "SOAK_FOLDER"
"""Environment variable: the folder of `LOG` and `AIMS`."""
MAIL_HOLD: Final = "SOAK_MAIL_HOLD_SECONDS"
"""Environment variable: how long a dead sender's claim keeps a mail; a soak has no quarter of an hour for each."""
LOG: Final = "events.jsonl"
AIMS: Final = "aims"
TRIAL: Final = "trial"
"""Where an aim is at a scope that this process has begun before: in the search for a guilty record."""
ANYWHERE: Final = "anywhere"
HEARTBEAT: Final = "heartbeat"
HELD_AT_MOST_SECONDS: Final = 120.0

_WITH_REASON: Final = (RunLost, ScopeRetried, WorkerReplaced, RunTakenOver)


class Probe:
    """Writes events, one JSON object a line, in order of time on the clock that all processes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid = os.getpid()
        self._log = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._begun: Counter[tuple[str | None, int | None]] = Counter()
        self._aims: dict[str, dict[str, Any]] = {}
        self._passed: Counter[str] = Counter()
        self._write(event="Loaded")

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Reached):
            more = asdict(event) if isinstance(event, _WITH_REASON) else {}
            self._write(**{**more, "event": type(event).__name__, "run_id": getattr(event, "run_id", None)})
            return
        if event.point == "scope read":
            self._begun[event.run_id, event.scope] += 1
        in_trial = (
            event.point in ("scope read", "scope executed") and self._begun[event.run_id, event.scope] > 1
        )
        self._write(
            event="Reached", run_id=event.run_id, point=event.point, scope=event.scope, trial=in_trial
        )
        self._halt_where_aimed(event.run_id, event.point, in_trial)

    def beat(self, run_id: str) -> None:
        """Its owner is about to commit a heartbeat of that run."""
        self._halt_where_aimed(run_id, HEARTBEAT, in_trial=False)

    def _halt_where_aimed(self, run_id: str | None, point: str, in_trial: bool) -> None:
        for name in sorted(os.listdir(self._folder / AIMS)):
            if name.startswith(f"{run_id}.") and self._takes(name, point, in_trial):
                self._write(event="Hit", run_id=run_id, aim=name, point=point, trial=in_trial)
                if self._aims[name]["hold"]:
                    self._hold(self._folder / f"go-{name}")
                return

    def _takes(self, name: str, point: str, in_trial: bool) -> bool:
        """Whether this is where the aim is, and we are the first there."""
        file = self._folder / AIMS / name
        try:
            aim = self._aims[name] = self._aims.get(name) or json.loads(file.read_text())
            if aim["at"] != (TRIAL if in_trial else point) and (aim["at"] != ANYWHERE or point == HEARTBEAT):
                return False
            if aim["in_pool"] and os.getsid(0) == self._pid:
                return False
            self._passed[name] += 1
            if self._passed[name] <= aim["skip"]:
                return False
            file.rename(self._folder / f"hit-{name}")
        except FileNotFoundError:
            return False
        return True

    @staticmethod
    def _hold(release: Path) -> None:
        """Stand here until the soak has done what it wanted."""
        until = time.monotonic() + HELD_AT_MOST_SECONDS
        while time.monotonic() < until and not release.exists():
            time.sleep(0.002)

    def _write(self, **values: Any) -> None:
        line = json.dumps({"time": time.monotonic(), "pid": self._pid, **values})
        os.write(self._log, f"{line}\n".encode())
