"""`python -m bench.doors`: what each GET of API and console takes, on the data of `bench.pages`. See docs/bench.md."""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import ASGIApp, Message

from batchwright.config.settings import Settings, operating_system_user
from batchwright.console.api.application import ROUTES
from batchwright.console.api.routes import documentation
from batchwright.console.pages.application import ROUTES as PAGES
from batchwright.console.pages.render import LIVE, VERSION
from batchwright.console.pages.session import COOKIE
from batchwright.console.server import make_asgi
from batchwright.console.traffic import Limits, Traffic
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations import user_store
from batchwright.operations.access.sessions import begin_session
from batchwright.operations.access.tokens import make_token
from batchwright.operations.access.users import add_user
from batchwright.operations.actor import Actor, Door
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.forecast import refresh_forecast
from batchwright.operations.billing.selections import select_usage_inputs
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.schedules import add_schedule
from bench.history import DRY, History, p95, parser_of, prepared, say
from tests.support.statements import executed

ACTOR: Final = Actor("bench", operating_system_user())
USER: Final = "bench@example.com"
JOB: Final = "draft-usage-rating"
AMENDED: Final = "?end_date=2023-05-31"
QUERIES: Final = {
    "/api/v1/cron/explain": "?expression=0%200%202%20*%20*%20%3F",
    "/api/v1/billing-schedules/status": "?ready_by=2023-07-01&status=invoiced",
    "/billing-schedules/status": "?ready_by=2023-07-01&status=invoiced&sums=true",
    "/api/v1/asset-line-items/{asset_line_item_id}/amendment": AMENDED,
    "/asset-line-items/{asset_line_item_id}/amend": f"{AMENDED}&foresee=true",
    "/billing-utilities/recalculation": "?customer_id=C-000001&periods=2023-03",
    "/new-schedule": f"?job={JOB}&cron=0%200%202%20*%20*%20%3F",
    "/audit.csv": "?subject=IN-00000007",
    "/usage-inputs.csv": "?asset_line_item_id=ALI-00000001",
    "/api/v1/usage-inputs.csv": "?asset_line_item_id=ALI-00000001",
    "/api/v1/usage-inputs.ndjson": "?asset_line_item_id=ALI-00000001",
    "/search": "?q=JR-{at_work:08}",
    "/ticked-runs": "?act=pause&run_id=JR-{at_work:08}",
}
"""Of the doors that have to be told more, and of files, which take as long as they are."""
_LOADED: Final = dict.fromkeys(("id", "words", "customer_id", "price_book_id", "contract_id", "status", "on"))
FILTERS: Final[Mapping[str, Mapping[str, str | None]]] = {
    "/": {"currency": "JPY"},
    "/audit": {
        "actor": "person7", "act": "run.abort", "subject": "IN-00000007", "from": "2026-03-01", "before": "2026-03-02",
    },
    "/accounts": _LOADED | {"id": "ACC-000001", "words": "Account 1", "customer_id": "C-000001"},
    "/asset-line-items": {
        "words": "asset 1", "customer_id": "C-000001", "product": "flat, alone", "on": "2023-03-05",
    },
    "/billing-schedules": {
        "status": "Pending Billing", "customer_id": "C-000001", "asset_line_item_id": "ALI-00000001",
        "period": "2023-06", "ready_by": "2023-07-01",
    },
    "/billing-utilities": {"customer_id": "C-000001"},
    "/contracts": _LOADED
    | {"id": "CT-000001", "customer_id": "C-000001", "price_book_id": "PB-JPY", "status": "Active", "on": "2023-03-05"},
    "/custom-line-items": _LOADED,
    "/customers": _LOADED | {"id": "C-000001", "words": "Customer 1"},
    "/forecast": {
        "currency": "JPY", "customer_id": "C-000001", "product": "flat, alone", "from": "2023-03", "to": "2023-04",
    },
    "/mail": {"status": "failed", "recipient": "person7@example.com", "run_id": "JR-00000007"},
    "/price-books": _LOADED | {"id": "PB-JPY", "words": "List"},
    "/prices": _LOADED | {"id": "PB-JPY", "words": "flat", "price_book_id": "PB-JPY"},
    "/runs": {
        "status": "Failed", "job": "usage-rating", "customer_id": "C-000014", "period": "2026-03", "actor": "person7",
        "schedule": "schedule 3", "trigger": "retry", "from": "2026-03-01", "before": "2026-03-02",
    },
    "/runs/{run_id}/outcomes": {"code": "no_tier", "first_record": "500001", "record_id": "IN-00000001"},
    "/schedules": {"state": "active", "job": JOB, "owner": "bench"},
    "/usage-inputs": {
        "status": "Error", "code": "no_price", "customer_id": "C-000001", "asset_line_item_id": "ALI-00000001",
        "product": "flat, alone", "from": "2023-03-05", "before": "2023-03-06",
    },
}  # fmt: skip
"""A value of each filter of the pages that are lists, or that it is left out; one that is true or false, or of a few
words, needs none here."""
PAGING: Final = {"after", "done", "limit", "sums_after"}
_REGION: Final = re.compile(r'<section id="(region_\w+)" class="live" data-version="(\w+)"[^>]* data-live=')
_OLDER: Final = re.compile(r'href="([^"]*[?;](?:sums_)?after=[^"]*)"')


@dataclass(frozen=True)
class Answer:
    """What came back, and what it took."""

    status: int
    body: bytes
    seconds: float


def main() -> None:
    """Print what each door takes: its first page, and the page behind that; and each live region of a page."""
    parser = parser_of("doors", __doc__, "each door is asked")
    parser.add_argument("--of", choices=("api", "pages", "both"), default="both", help="whose doors (both)")
    parser.add_argument("--like", default="", help="only doors with this in their path")
    given = parser.parse_args()
    print(
        "| door | status | p95 ms | of the next page | CPU ms | queries | KB |\n|---|---|---|---|---|---|---|"
    )
    for name, url, history in prepared(given):
        asyncio.run(measure(name, url, history, of=given.of, like=given.like, times=given.times))


async def measure(name: str, url: str, history: History, *, of: str, like: str, times: int) -> None:
    """Print the lines of one database."""
    app = make_application(Settings(database_url=url, executor="inline"), door=Door.API)
    while refresh_forecast(app):
        pass
    traffic = Traffic(app, Limits(burst=1_000_000_000))
    asgi = make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=traffic)
    caller, known = await _known(app, asgi, history)
    doors = [*_doors(known)] if of != "pages" else []
    doors += pages_asked(known) if of != "api" else []
    doors = [one for one in doors if like in one[0]]
    for number, (door, where) in enumerate(doors, start=1):
        for line in await _lines(app, caller, door, where, times):
            print(f"| {name}, {line}", flush=True)
        say(f"{name}: {number} of {len(doors)} doors")
    app.close()


async def _lines(app: Application, caller: Caller, door: str, where: str, times: int) -> list[str]:
    """A line of the table for a door, and one for each live region of a page, looked at by who has its version."""
    first = await caller.ask(where)
    cells = await _cells(app, caller, where, times)
    after = _next_of(where, first)
    behind = "-" if after is None else f"{p95([(await caller.ask(after)).seconds for _ in range(times)]):.0f}"
    lines = [f"{door} | {first.status} | {cells[0]} | {behind} | {cells[1]}"]
    for region, version in (
        _REGION.findall(first.body.decode("utf-8", "replace")) if "/api/" not in where else ()
    ):
        look = {LIVE: region, VERSION: version}
        status = (await caller.ask(where, look)).status
        cells = await _cells(app, caller, where, times, look)
        lines.append(f"{door} {region} | {status} | {cells[0]} | - | {cells[1]}")
    return lines


async def _cells(
    app: Application, caller: Caller, where: str, times: int, look: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Of so many: the p95 in milliseconds; and of one on average the processor time, queries, and its size."""
    with executed(app.database.engine, "SELECT", "WITH") as counted:
        began = time.process_time()
        answers = [await caller.ask(where, look) for _ in range(times)]
        spent = 1_000 * (time.process_time() - began) / times
    size = len(answers[-1].body) / 1_000
    seconds = [one.seconds for one in answers]
    return f"{p95(seconds):.0f}", f"{spent:.1f} | {len(counted) / times:.1f} | {size:.0f} |"


def _next_of(where: str, answer: Answer) -> str | None:
    """Where the page behind this one is."""
    if answer.body.startswith(b'{"items"'):
        after = json.loads(answer.body)["next"]
        return after and f"{where}{'&' if '?' in where else '?'}after={after}"
    found = _OLDER.search(answer.body.decode("utf-8", "replace")) if "/api/" not in where else None
    return html.unescape(found[1]) if found else None


def _doors(known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each GET of the API, and where it is asked for."""
    for module in (*ROUTES, documentation):
        for route in module.doors.routes:
            if "GET" in route.methods:
                yield route.path_format, _filled(route.path_format, known)


def pages_asked(known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of each page of the console, and of each list by each of its filters."""
    for module in PAGES:
        for route in module.pages.routes:
            if "GET" not in route.methods:
                continue
            path, where = route.path_format, _filled(route.path_format, known)
            yield path, where
            for name, value in _filters(path, route):
                yield f"{path} {name}={value}", f"{where}{'&' if '?' in where else '?'}{name}={value}"


def _filters(path: str, route: APIRoute) -> Iterator[tuple[str, str]]:
    for one in route.dependant.query_params:
        model = one.field_info.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or path in QUERIES or "." in path:
            continue
        for name, of in model.model_fields.items():
            words = [
                word
                for kind in (of.annotation, *get_args(of.annotation))
                if get_origin(kind) is Literal
                for word in get_args(kind)
            ]
            alias = of.alias or name
            values = words or (["true"] if of.annotation is bool else [FILTERS.get(path, {}).get(alias, "")])
            if alias in PAGING or "{act}" in path:
                continue
            if "" in values and path in FILTERS:
                raise SystemExit(f"say in FILTERS of bench.doors by which {alias} {path} is filtered")
            yield from ((alias, str(value)) for value in values if value)


def _filled(path: str, known: Mapping[str, Any]) -> str:
    if path.endswith(("/preview", "/apply")):
        known = {**known, "run_id": f"JR-{DRY:08}"}
    if path.endswith((".csv", ".ndjson")):
        known = {**known, "run_id": "JR-00000003"}  # a file takes as long as it is
    if path.startswith("/jobs/"):
        known = {**known, "name": JOB}
    if "/tokens/" in path:
        known = {**known, "name": known["token"]}
    return f"{path}{QUERIES.get(path, '')}".format_map(known)


async def _known(app: Application, asgi: ASGIApp, history: History) -> tuple[Caller, dict[str, Any]]:
    """Who calls, an administrator, and a value for each name in braces: the first of its list where there is one."""
    add_user(app, USER, "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    add_schedule(app, ScheduleRequest(name="nightly", cron="0 0 2 * * ?", job=JOB), actor=ACTOR)
    token = make_token(app, USER, actor=ACTOR)
    first = submit_run(app, JOB, {"usage_input_ids": ["IN-00000001"]}, actor=ACTOR, notify=[USER])
    drive_submitted(app, first, mail=False)  # the newest mail is of it
    with app.database.write() as connection:
        user = user_store.user_by_email(connection, USER)
        assert user is not None
        now = app.clock.now()
        session = begin_session(connection, user["id"], address="127.0.0.1", browser="bench", now=now)
    caller = Caller(asgi, token.text, session.reference)
    selection = select_usage_inputs(app, [("status", "Error")], actor=Actor(USER, ACTOR.os_user))
    known: dict[str, Any] = {
        "run_id": f"JR-{history.at_work:08}",
        "at_work": history.at_work,
        "usage_input_id": "IN-00000001",
        "job": JOB,
        "name": "nightly",
        "email": USER,
        "token": token.view["name"],
        "session_id": session.key,
        "selection_id": selection["selection_id"],
        "act": "draft-rate",
        "kind": "run",
        "subject": "JR-00000050",
        "file": "customers.csv",
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
        items = json.loads((await caller.ask(f"/api/v1/{noun}?limit=1")).body)["items"]
        known[name] = items[0][name] if items else "none"
    price = json.loads((await caller.ask("/api/v1/prices?limit=1")).body)["items"][0]
    known["price_id"] = "/".join(price[part] for part in ("price_book_id", "product", "effective_from"))
    return caller, known


class Caller:
    """Calls the web in this process, with a token or, where it is a page, a session."""

    def __init__(self, asgi: ASGIApp, token: str, reference: str) -> None:
        self._asgi = asgi
        self._headers = {
            True: [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())],
            False: [(b"host", b"127.0.0.1"), (b"cookie", f"{COOKIE}={reference}".encode())],
        }

    async def ask(self, where: str, more: Mapping[str, str] | None = None) -> Answer:
        """The answer of a door, asked with more headers."""
        path, _, query = where.partition("?")
        parts: list[Message] = []
        messages = self._messages()

        async def send(message: Message) -> None:
            parts.append(message)

        further = [(name.lower().encode(), value.encode()) for name, value in (more or {}).items()]
        scope: dict[str, Any] = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "root_path": "", "path": path,
            "raw_path": path.encode(), "query_string": query.encode(),
            "headers": self._headers[path.startswith("/api/")] + further,
            "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        began = time.perf_counter()
        await self._asgi(scope, messages.__anext__, send)
        taken = time.perf_counter() - began
        return Answer(parts[0]["status"], b"".join(part.get("body", b"") for part in parts[1:]), taken)

    async def _messages(self) -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.get_running_loop().create_future()  # the caller stays


if __name__ == "__main__":
    main()
