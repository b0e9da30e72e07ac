"""Which schedules have a ping that no worker would send."""

from __future__ import annotations

from batchwright.engine.errors import Refused
from batchwright.engine.store import schedules as store
from batchwright.notifications.ping import fault_of
from batchwright.operations.app import Application


def refused_pings(app: Application) -> list[tuple[str, str]]:
    """Of each such schedule what is wrong, without the address, and the remedy; none where no database can be read."""
    try:
        app.database.require()
    except Refused:
        return []
    with app.database.read() as connection:
        pings = {one.name: one.ping for one in store.all_schedules(connection) if one.ping is not None}
    faults = {url: fault_of(url, allows_private=app.settings.ping_private) for url in set(pings.values())}
    return [
        (f"the ping of the schedule {name!r} {fault}, and is not sent", fault.remedy)
        for name, url in pings.items()
        if (fault := faults[url]) is not None
    ]
