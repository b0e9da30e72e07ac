"""`python -m bench.doors`: what each GET of the API takes, on the data of `bench.pages`. See docs/bench.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from statistics import quantiles
from typing import Any, Final

from sqlalchemy import text
from starlette.types import ASGIApp, Message

from batchwright.config.settings import Settings, operating_system_user
from batchwright.console.api.application import ROUTES
from batchwright.console.api.routes import documentation
from batchwright.console.server import make_asgi
from batchwright.console.traffic import Limits, Traffic
from batchwright.engine.schedule import ScheduleRequest
from batchwright.engine.store.database import Database
from batchwright.operations.access.tokens import make_token
from batchwright.operations.access.users import add_user
from batchwright.operations.actor import Actor, Door
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.forecast import refresh_forecast
from batchwright.operations.schedules.schedules import add_schedule
from bench.measure import databases
from bench.pages import History, prepare, rating

ACTOR: Final = Actor("bench", operating_system_user())
USER: Final = "bench@example.com"
DRY: Final = 2
"""The key of the run that is a dry one."""
_PREVIEW: Final = """
    INSERT INTO preview_line
        (run_id, kind, record_id, customer_id, amount, amount_before, amount_after, currency, detail)
    SELECT 2, CASE WHEN id % 10 = 0 THEN 'usage_schedule' ELSE 'usage_input' END, usage_input_id,
        'C-' || (id % 500), 1234, id % 5000, id * 7 % 9000, 'USD', '{}'
    FROM usage_input
"""


def main() -> None:
    """Print the p95 of each door: its first page, and the page behind that."""
    parser = argparse.ArgumentParser(prog="python -m bench.doors", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="runs (100,000)")
    parser.add_argument(
        "--records", type=int, default=1_000_000, help="records of each of ten large runs (1,000,000)"
    )
    parser.add_argument("--inputs", type=int, default=1_000_000, help="usage inputs (1,000,000)")
    parser.add_argument("--times", type=int, default=40, help="how often each door is asked (40)")
    parser.add_argument("--beside", action="store_true", help="while all inputs are rated, too")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    given = parser.parse_args()
    history = History(given.runs, records=given.records)
    print("| door | status | p95 ms | of the next page | CPU ms |\n|---|---|---|---|---|")
    for name in ("sqlite", "postgresql") if given.database == "both" else (given.database,):
        with databases(name) as new_url:
            url = new_url()
            prepare(url, history, given.inputs)
            _foretell(url)
            with rating(url, given.inputs) if given.beside else nullcontext():
                asyncio.run(_measure(name, url, history, given.times))
        print(f"load: {os.getloadavg()[0]:.1f}", flush=True)


def _foretell(url: str) -> None:
    """Make one of the runs a dry one, with a line for each input."""
    database = Database(url)
    with database.write(patient=True) as connection:
        connection.execute(text("UPDATE run SET mode = 'dry_run' WHERE id = 2"))
        connection.execute(text(_PREVIEW))
    database.close()


async def _measure(name: str, url: str, history: History, times: int) -> None:
    app = make_application(Settings(database_url=url, executor="inline"), door=Door.API)
    while refresh_forecast(app):
        pass
    traffic = Traffic(app, Limits(burst=1_000_000_000))
    asgi = make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=traffic)
    caller = _Caller(asgi, _token(app))
    known = await _known(caller, history)
    for path in _paths():
        where = _filled(path, known)
        status, answer, _ = await caller.ask(where)
        first, cpu = await _p95(caller, where, times)
        behind = "-"
        if answer.startswith(b'{"items"') and (cursor := json.loads(answer)["next"]):
            joint = "&" if "?" in where else "?"
            behind = f"{(await _p95(caller, f'{where}{joint}after={cursor}', times))[0]:.0f}"
        print(f"| {name}, {path} | {status} | {first:.0f} | {behind} | {cpu:.1f} |", flush=True)
    app.close()


def _token(app: Application) -> str:
    """Of an administrator; there is a schedule, too."""
    add_user(app, USER, "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    nightly = ScheduleRequest(name="nightly", cron="0 0 2 * * ?", job="draft-usage-rating")
    add_schedule(app, nightly, actor=ACTOR)
    return make_token(app, USER, actor=ACTOR).text


def _paths() -> Iterator[str]:
    for module in (*ROUTES, documentation):
        for route in module.doors.routes:
            if "GET" in route.methods:
                yield route.path_format


def _filled(path: str, known: dict[str, str]) -> str:
    if path.endswith("/preview"):
        known = known | {"run_id": f"JR-{DRY:08}"}
    if path.endswith((".csv", ".ndjson")):
        known = known | {"run_id": "JR-00000003"}  # a file takes as long as it is
    return path.format_map(known) + QUERIES.get(path.removeprefix("/api/v1"), "")


QUERIES: Final = {
    "/cron/explain": "?expression=0%200%202%20*%20*%20%3F",
    "/billing-schedules/status": "?ready_by=2023-07-01&status=invoiced",
    "/asset-line-items/{asset_line_item_id}/amendment": "?end_date=2023-05-31",
}
"""Of the doors that have to be told more."""


async def _known(caller: _Caller, history: History) -> dict[str, str]:
    """A value for each name in braces: of the first of its list where there is one."""
    known = {
        "run_id": f"JR-{history.at_work:08}",
        "usage_input_id": "IN-00000001",
        "job": "draft-usage-rating",
        "name": "nightly",
        "email": USER,
    }
    for noun, name in (
        ("billing-schedules", "billing_schedule_id"),
        ("asset-line-items", "asset_line_item_id"),
        ("customers", "customer_id"),
        ("accounts", "account_id"),
        ("price-books", "price_book_id"),
        ("contracts", "contract_id"),
        ("custom-line-items", "line_item_id"),
        ("mail", "mail_id"),
    ):
        _, answer, _ = await caller.ask(f"/api/v1/{noun}?limit=1")
        items = json.loads(answer)["items"]
        known[name] = items[0][name] if items else "none"
    _, answer, _ = await caller.ask("/api/v1/prices?limit=1")
    price = json.loads(answer)["items"][0]
    known["price_id"] = "/".join(price[part] for part in ("price_book_id", "product", "effective_from"))
    return known


async def _p95(caller: _Caller, where: str, times: int) -> tuple[float, float]:
    """Milliseconds of the 95th of 100, and of processor time of one on average."""
    began = time.process_time()
    taken = [1_000 * (await caller.ask(where))[2] for _ in range(times)]
    return quantiles(taken, n=20)[-1], 1_000 * (time.process_time() - began) / times


class _Caller:
    """Calls the web in this process, with a token."""

    def __init__(self, asgi: ASGIApp, token: str) -> None:
        self._asgi = asgi
        self._headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())]

    async def ask(self, where: str) -> tuple[int, bytes, float]:
        """Status, body, and how many seconds it took."""
        path, _, query = where.partition("?")
        parts: list[Message] = []
        messages = self._messages()

        async def send(message: Message) -> None:
            parts.append(message)

        scope: dict[str, Any] = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "root_path": "", "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "headers": self._headers,
            "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        began = time.perf_counter()
        await self._asgi(scope, messages.__anext__, send)
        taken = time.perf_counter() - began
        return parts[0]["status"], b"".join(part.get("body", b"") for part in parts[1:]), taken

    async def _messages(self) -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.get_running_loop().create_future()  # the caller stays


if __name__ == "__main__":
    main()
