"""Who calls the HTTP API: a client that is generated from its document, and calls made up from that at random."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from batchwright.console.server import make_asgi
from batchwright.console.traffic import Limits, Traffic
from batchwright.engine.store.database import upgrade
from batchwright.operations.access.tokens import make_token
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application, make_application
from batchwright.operations.runs.looking import run_outcomes, show_run
from tests.console.furniture import furnish
from tests.console.random_calls import call_at_random, operations_at
from tests.support.application import ACTOR, make_settings

Say = Callable[[str], None]

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "openapi.json"
BINARIES: Final = Path(sys.executable).parent
CLIENT: Final = "generated_client"
ADMIN: Final = "root@example.com"
ENDED: Final = ("Completed", "Failed", "Aborted")


def compare(url: str, folder: Path, *, examples: int, seed: int, say: Say) -> list[str]:
    """Call the API on an empty database by the generated client and at random; what went wrong, a line each."""
    with _company(url, folder) as app:
        token = make_token(app, ADMIN, actor=ACTOR).text
        faults = _by_client(app, folder, token)
        say(f"the generated client: {len(faults)} faults")
        return faults + _at_random(app, token, examples, seed, say)


@contextmanager
def _company(url: str, folder: Path) -> Iterator[Application]:
    """An application with something behind every address, and an administrator."""
    upgrade(url)
    app = make_application(make_settings(url, folder))
    add_user(app, ADMIN, "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    furnish(app)
    yield app
    app.close()


def _at_random(app: Application, token: str, examples: int, seed: int, say: Say) -> list[str]:
    much = Limits(burst=10**9)
    asgi = make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=Traffic(app, much, much))
    headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
    faults = []
    for reads in (True, False):
        for operation in operations_at(asgi, reads=reads):
            try:
                call_at_random(operation, headers, examples, seed)
            except Exception as error:  # one that fails keeps no other from being called
                faults.append(f"{operation.label}: {error}")
                say(faults[-1])
        say(f"{'reads' if reads else 'acts'} at random: {len(faults)} faults")
    return faults


def _by_client(app: Application, folder: Path, token: str) -> list[str]:
    """What a forecast of a selection comes to by the client, held against what the operations tell."""
    with _client(folder) as load, _server(app, folder) as address:
        client = load("client").AuthenticatedClient(
            base_url=address, token=token, raise_on_unexpected_status=True, timeout=60
        )
        wanted = {"kind": "usage-inputs", "filter": {"status": ["Loaded", "Error"]}}
        selection = load("api.usage_inputs.select_usage_inputs").sync(
            client=client, body=load("models").NewSelection.from_dict(wanted)
        )
        drafted = load("api.usage_inputs.draft_pending_usage_input").sync(
            client=client,
            body=load("models").Which(selection_id=selection.selection_id),
            idempotency_key="soak",
        )
        run = drafted
        while run.status not in ENDED:
            run = load("api.runs.show_run").sync(drafted.run_id, client=client, wait=30)
        outcomes: list[dict[str, Any]] = []
        after: str | None = None
        while not outcomes or after is not None:
            page = load("api.runs.page_of_outcomes").sync(drafted.run_id, client=client, limit=7, after=after)
            outcomes += [one.to_dict() for one in page.items]
            after = page.next_
        refused = load("api.usage_inputs.show_usage_input").sync("IN-9", client=client)
    shown = show_run(app, drafted.run_id)
    held = {
        "ended": (run.status, "Completed"),
        "records": (run.total, selection.count),
        "totals": (run.totals.to_dict(), shown["totals"]),
        "outcomes": (outcomes, list(run_outcomes(app, drafted.run_id))),
        "refusal": ((refused.status, refused.field), (404, "usage_input_id")),
    }
    return [f"{name}: {got!r:.300}, not {due!r:.300}" for name, (got, due) in held.items() if got != due]


@contextmanager
def _client(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Loads modules of a client that is generated into the folder."""
    command = [f"{BINARIES}/openapi-python-client", "generate", "--path", str(DOCUMENT), "--meta", "none"]
    environment = os.environ | {"PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(
        [*command, "--output-path", str(folder / CLIENT)], env=environment, check=True, capture_output=True
    )
    sys.path.insert(0, str(folder))
    try:
        yield lambda name: importlib.import_module(f"{CLIENT}.{name}")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == CLIENT]:
            del sys.modules[name]


@contextmanager
def _server(app: Application, folder: Path) -> Iterator[str]:
    """The address of a `serve` with a worker on the database of the application."""
    url = app.database.url.render_as_string(hide_password=False)
    environment = os.environ | {"BATCHWRIGHT_DATABASE_URL": url, "BATCHWRIGHT_EXECUTOR": "inline"}
    log = folder / "serve.log"
    command = [f"{BINARIES}/batchwright", "serve", "--port", "0"]
    with (
        log.open("w") as sink,
        subprocess.Popen(command, cwd=folder, env=environment, stderr=sink) as process,
    ):
        try:
            yield _address(log, process)
        finally:
            process.terminate()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    while (found := re.search(r"Serving .* at (http://\S+)\n", log.read_text())) is None:
        if process.poll() is not None:
            raise RuntimeError(f"serve has ended: {log.read_text()[-1_000:]}")
    return found[1]
