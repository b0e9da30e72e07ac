"""`batchwright audit`."""

from __future__ import annotations

import click

from batchwright.cli.exits import DONE, FAILED
from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option, json_option, limit_option
from batchwright.cli.output import Column, Format, say, write_json, write_rows
from batchwright.cli.progress import shown_steps
from batchwright.cli.session import application
from batchwright.cli.show import beginning, instant
from batchwright.cli.verbosity import Verbosity
from batchwright.operations.access.audit_trail import list_audit, verify_audit
from batchwright.operations.views import View

COLUMNS = (
    Column("entry_id", "Entry", numeric=True),
    Column("at", "At (UTC)", show=instant),
    Column("actor", "Actor"),
    Column("os_user", "System user"),
    Column("door", "Door"),
    Column("act", "Act"),
    Column("subject", "Subject"),
    Column("reason", "Reason"),
    Column("before", "Before", show=beginning),
    Column("after", "After", show=beginning),
)


@click.group("audit", cls=Group, example="batchwright audit list --limit 20")
def audit() -> None:
    """Who did what, and when; and whether anybody changed that afterwards."""


@audit.command("list", example="batchwright audit list --limit 20")
@limit_option
@json_option
def list_(limit: int | None, format: Format) -> None:
    """List the audit entries, newest first. What changed is cut short; `--json` gives all of it."""
    with application() as app:
        rows = list_audit(app, limit)
        write_rows(rows, COLUMNS, format=format, nothing="Nothing was done yet.")


@audit.command("verify", example="batchwright audit verify")
@click.option(
    "--newest-hash", metavar="HASH", help="A hash from the log of a worker: it must be in the chain."
)
@as_json_option
@click.pass_obj
def verify(verbosity: Verbosity, newest_hash: str | None, as_json: bool) -> int:
    """Find entries that were edited, deleted or cut off after they were sealed; ends with 1 if there are any.

    A worker seals entries some seconds after they are committed. What waits for that is named; it is not a fault.
    """
    with application() as app, shown_steps("seals", quiet=verbosity.level < 0) as progress:
        found = verify_audit(app, newest_hash, progress=progress)
    if as_json:
        write_json(found)
    else:
        _say(found)
    return FAILED if found["problems"] else DONE


def _say(found: View) -> None:
    for problem in found["problems"]:
        say(f"{problem['kind'].replace('_', ' ')}: {problem['message']}")
    waiting = found["unsealed"]
    if waiting["count"]:
        ids = f"{waiting['first_entry_id']} to {waiting['last_entry_id']}"
        say(f"Not sealed yet: {waiting['count']} (entries {ids}); a worker seals them.")
    if found["problems"]:
        say(f"{len(found['problems'])} found in a chain of {found['sealed']} seals.")
    elif not found["sealed"]:
        say("Nothing is sealed yet.")
    else:
        say(f"All {found['sealed']} sealed entries are as they were. Newest hash: {found['newest_hash']}")
