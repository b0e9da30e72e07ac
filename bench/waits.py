"""`python -m bench.waits`: how soon many callers that wait for a run hear of its change. See docs/bench.md."""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from batchwright.config.settings import Settings, operating_system_user
from batchwright.console.traffic import WAITS
from batchwright.operations.access.tokens import make_token
from batchwright.operations.access.users import add_user
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application, make_application
from batchwright.operations.runs.controls import pause_run, release_run
from batchwright.operations.runs.submitting import submit_run
from bench.measure import databases
from bench.process import cpu_seconds, pss

ROOT: Final = Path(__file__).parents[1]
ACTOR: Final = Actor("bench", operating_system_user())


def main() -> None:
    """Print for each number of runs waited for how soon the waiters heard, and what it cost the web process."""
    parser = argparse.ArgumentParser(prog="python -m bench.waits", description=__doc__)
    parser.add_argument("--waiters", type=int, default=200, help="callers that wait at once (200)")
    parser.add_argument(
        "--runs", type=int, default=1, help="runs that they wait for, each in turn changed (1)"
    )
    parser.add_argument("--rounds", type=int, default=10, help="changes that all of them hear of (10)")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    given = parser.parse_args()
    print(
        "| database | heard: median ms | 95 of 100 | last | CPU ms of the web | MB at rest | waiting | load |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in ("sqlite", "postgresql") if given.database == "both" else (given.database,):
        with databases(name) as new_url, TemporaryDirectory(prefix="batchwright-waits-") as folder:
            print(f"| {name} | {_measured(new_url(), folder, given)} |", flush=True)


def _measured(url: str, folder: str, given: argparse.Namespace) -> str:
    app = make_application(Settings(database_url=url, executor="inline"))
    app.database.upgrade()
    runs = [submit_run(app, "draft-usage-rating", {}, actor=ACTOR).run_id for _ in range(given.runs)]
    tokens = list(tokens_of(app, -(-given.waiters // WAITS)))
    heard: list[float] = []
    spent = 0.0
    with web(url, folder) as (process, port):
        get(port, tokens[0], f"/api/v1/runs/{runs[0]}")
        rest = waiting = pss(process.pid)
        for number in range(given.rounds):
            with ExitStack() as held:
                sockets = [
                    held.enter_context(_waiter(port, tokens[n // WAITS], runs[n % len(runs)]))
                    for n in range(given.waiters)
                ]
                _until_all_wait(port, given.waiters)
                waiting, before = pss(process.pid), cpu_seconds(process.pid)
                for place, run_id in enumerate(runs):
                    (release_run if number % 2 else pause_run)(app, run_id, actor=ACTOR)
                    heard += _heard(sockets[place :: len(runs)], time.perf_counter())
                spent += cpu_seconds(process.pid) - before
    app.close()
    figures = (statistics.median(heard), sorted(heard)[int(len(heard) * 0.95)], max(heard))
    cells = [f"{1_000 * seconds:.0f}" for seconds in (*figures, spent / given.rounds)]
    return " | ".join([*cells, f"{rest:.0f}", f"{waiting:.0f}", f"{os.getloadavg()[0]:.1f}"])


def tokens_of(app: Application, number: int) -> Iterator[str]:
    """Of so many users, the first of whom is an administrator."""
    for n in range(number):
        email, role = f"caller{n}@example.com", "viewer" if n else "administrator"
        add_user(app, email, role, os_user=None if n else ACTOR.os_user, actor=ACTOR)
        yield make_token(app, email, actor=ACTOR).text


@contextmanager
def web(url: str, folder: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that answers requests, without a worker, and its port."""
    environment = {**os.environ, "BATCHWRIGHT_DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "batchwright", "serve", "--no-worker", "--port", "0"]
    log = Path(folder, "web.log")
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environment, cwd=folder, stderr=errors, text=True)
    try:
        while not (said := log.read_text()).startswith("Serving"):
            if process.poll() is not None:
                raise SystemExit(f"the web does not start: {said}")
            time.sleep(0.05)
        yield process, int(said.splitlines()[0].rsplit(":", 1)[1])
    finally:
        process.terminate()
        process.wait(30)


def _waiter(port: int, token: str, run_id: str) -> socket.socket:
    """A connection on which it was asked to be told of a change."""
    caller = socket.create_connection(("127.0.0.1", port))
    head = f"GET /api/v1/runs/{run_id}?wait=30 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}"
    caller.sendall(f"{head}\r\n\r\n".encode())
    return caller


def _until_all_wait(port: int, number: int) -> None:
    while f"batchwright_web_waiters {number}.0" not in get(port, None, "/metrics"):
        time.sleep(0.2)


def get(port: int, token: str | None, path: str) -> str:
    """What is answered there. Raises ``HTTPError`` for a refusal."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as answer:
        return str(answer.read(), "utf-8")


def _heard(sockets: list[socket.socket], since: float) -> Iterator[float]:
    """Seconds until each of them was answered."""
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(30)
            now = time.perf_counter()
            if not ready:
                raise SystemExit("somebody was not answered")
            for key, _ in ready:
                selector.unregister(key.fileobj)
                said = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not said.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(f"somebody was answered {said!r}")
                yield now - since


if __name__ == "__main__":
    main()
