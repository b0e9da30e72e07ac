"""One measured piece of work in a process of its own: `python -m bench.worker`.

Prints one JSON object. The process is fresh, so its peak memory is that of this piece of work alone.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Final

from batchwright.engine.store.database import Database
from bench.company import Company

BYTES_PER_KIB: Final = 1024
_STATUS: Final = Path("/proc/self/status")


def main() -> None:
    work, url, inputs, inputs_per_asset, scope_size, folder = sys.argv[1:]
    company = Company(int(inputs), inputs_per_asset=int(inputs_per_asset))
    figures = (
        floor(url, company, int(scope_size))
        if work == "floor"
        else rate(url, int(scope_size), Path(folder), "inline" if work == "rate" else "local")
    )
    print(json.dumps(figures | {"peak_bytes": peak_memory()}))


def floor(url: str, company: Company, scope_size: int) -> dict[str, float]:
    """Seconds to read and write back every row, a scope at a time."""
    from bench.floor import touch_all

    database = Database(url)
    started = time.perf_counter()
    records = touch_all(database, company.assets, max(1, scope_size // company.inputs_per_asset))
    seconds = time.perf_counter() - started
    database.close()
    return {"records": records, "seconds": seconds}


def rate(url: str, scope_size: int, folder: Path, executor: str) -> dict[str, float]:
    """Seconds of a draft rating of everything, from submit to its end; and those of making and writing its mail."""
    from batchwright.config.settings import MailSettings, Settings
    from batchwright.engine.submit import Request, submit
    from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
    from batchwright.operations.app import make_application

    app = make_application(Settings(database_url=url, executor=executor, mail=MailSettings(directory=folder)))
    request = Request(actor="bench", scope_size=scope_size, mail_actor=False, notify=["bench@example.com"])
    started = time.perf_counter()
    with app.database.write() as connection:
        run = submit(connection, DraftUsageRatingJob(), request, app.clock.now())
    run = app.dispatcher.drive(run.id)
    seconds = time.perf_counter() - started
    if run.state != "Completed" or run.processed != run.total:
        raise SystemExit(f"{run.run_id} ended {run.state}: {run.processed} of {run.total} rated; {run.error}")
    started = time.perf_counter()
    app.mailer.send_due()
    app.close()
    return {"records": run.processed, "seconds": seconds, "mail_seconds": time.perf_counter() - started}


def peak_memory() -> int:
    """Most bytes this process ever had in memory.

    The kernel's VmHWM where there is one: `ru_maxrss` begins at what the parent had when it started us.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * BYTES_PER_KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_KIB


if __name__ == "__main__":
    main()
