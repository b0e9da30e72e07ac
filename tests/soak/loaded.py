"""Imported by every process of a soak, and by nobody else.

As an installed package could, it names a subscriber by the entry point `batchwright.subscribers`, which `fleet.py`
puts on the path of the processes that it starts. So the program under test is the one that people run.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.event import listens_for

from batchwright.engine.executors import Local
from batchwright.notifications import outbox
from tests.soak.probe import FOLDER, MAIL_HOLD, Probe

# Half a second of work is worth a pool here: what happens in one is to be seen.
Local.__init__.__defaults__ = (0.0,)
outbox.HOLD = timedelta(seconds=float(os.environ[MAIL_HOLD]))
# Tells PostgreSQL which process it is that talks to it (stops.py).
os.environ["PGOPTIONS"] = f"-c soak.pid={os.getpid()}"
tell = Probe(Path(os.environ[FOLDER]))


@listens_for(Engine, "after_cursor_execute")
def _tell_of_beats(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
    """A heartbeat is no event, but a moment like others: on SQLite it stands in a transaction."""
    if statement.startswith("UPDATE heartbeat"):
        values = parameters.values() if isinstance(parameters, dict) else parameters
        for value in values:
            if str(value).startswith("run/"):
                tell.beat(f"JR-{int(str(value).removeprefix('run/')):08}")
