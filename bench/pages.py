"""`python -m bench.pages`: what a page of each list costs, by every filter and at any depth. See docs/bench.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from random import Random
from time import perf_counter
from typing import Any, Final

from batchwright.billing.records.input_filter import order_of
from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.store.run_log import Place
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.billing_schedules import NOUN as BILLING_SCHEDULES
from batchwright.operations.billing.billing_schedules import Narrowing, billing_schedules_page
from batchwright.operations.billing.explanations import usage_input_history
from batchwright.operations.billing.forecast import CHOICES, By, look_at_forecast, refresh_forecast
from batchwright.operations.billing.input_filter import filter_of, filter_text, pairs_of
from batchwright.operations.billing.loaded import Kind, loaded_page
from batchwright.operations.billing.selections import select_usage_inputs
from batchwright.operations.billing.usage_inputs import LISTING as INPUTS
from batchwright.operations.billing.usage_inputs import usage_inputs_page
from batchwright.operations.paging import cursor
from batchwright.operations.runs.looking import (
    LISTING,
    outcome_summary,
    page_of_outcomes,
    page_of_runs,
    show_run,
)
from batchwright.operations.runs.progress import run_progress
from batchwright.operations.runs.run_filter import RunFilter, query_of
from bench.company import Company
from bench.history import BAD, BEGIN, CODES, SCOPE, History, p95, parser_of, prepared, say
from tests.engine.looks import planned

ACTOR: Final = Actor("bench", operating_system_user())
MOST_SLOW: Final = 5
Look = Callable[[Application, Random | None], Any]
_PLACES: Final = re.compile(r"(?:INDEX|using|Index Scan on|Seq Scan on|SCAN (?!\w+ USING)) ?([a-z]\w+)")
_OF_THE_CALLER: Final = ("alembic_version", "app_user")
"""Who asks is looked up before each read."""
_SORTS: Final = re.compile(r"TEMP B-TREE|\bSort\b")


@dataclass(frozen=True)
class Read:
    """A read by name: of a page anywhere in its list as chance has it, or of the first without any."""

    name: str
    look: Look
    slow: bool = False
    """Whether it is of all there is, and is done five times at most."""


def main() -> None:
    """Print the p95 of each read, and by what it is read."""
    given = parser_of("pages", __doc__, "each read is done").parse_args()
    print("| read | first page p95 ms | anywhere p95 ms | reads by |\n|---|---|---|---|")
    for name, url, history in prepared(given):
        of = len(list(reads(history, given.inputs)))
        for number, line in enumerate(measure(url, history, given.inputs, given.times), start=1):
            print(f"| {name}, {line}", flush=True)
            say(f"{name}: {number} of {of} reads")


def reads(history: History, inputs: int) -> Iterator[Read]:
    """The reads of runs, of what was loaded, of billing schedules, of usage inputs, the forecast, and selections."""
    yield from _reads_of_runs(history)
    yield from _reads_of_the_catalogue(inputs)
    yield from _reads_of_inputs(inputs)
    for query in ("", "status=Loaded,status=Rated", "status=Error"):
        pairs = list(pairs_of(query)) if query else []
        yield Read(f"selection, {query or 'all'}", partial(_selection, pairs=pairs), slow=True)


def _reads_of_the_catalogue(inputs: int) -> Iterator[Read]:
    """Lists of what was loaded, one of each, and of billing schedules by each filter."""
    company = Company(inputs)

    def customer(chance: Random) -> int:
        return chance.randrange(company.customers) + 1

    places: dict[Kind, Callable[[Random], tuple[Any, ...]]] = {
        Kind.CUSTOMER: lambda chance: (f"C-{customer(chance):06d}",),
        Kind.ACCOUNT: lambda chance: (f"ACC-{customer(chance):06d}",),
        Kind.PRICE_BOOK: lambda chance: ("PB-JPY",),
        Kind.PRICE: lambda chance: (chance.randrange(2) + 1, "flat, alone", date(2023, 1, 1)),
        Kind.CONTRACT: lambda chance: (f"CT-{customer(chance):06d}",),
    }
    for kind, place in places.items():
        yield Read(f"loaded, {kind}", _a_page_of_loaded(kind, place))
    first, last = date(2023, 1, 1), date(2023, 6, 30)
    for name, narrowing in {
        "all": Narrowing(),
        "status": Narrowing(status="pending_billing"),
        "status that none has": Narrowing(status="invoiced"),
        "customer": Narrowing(customer_id=f"C-{max(1, company.customers // 2):06d}"),
        "period": Narrowing(period=f"{last:%Y-%m}"),
        "no such period": Narrowing(period="1999-01"),
        "ready by, status": Narrowing(ready_by=f"{first}", status="pending_billing"),
    }.items():
        yield Read(f"billing schedules, {name}", _a_page_of_billing_schedules(company, first, narrowing))


def _a_page_of_loaded(kind: Kind, place: Callable[[Random], tuple[Any, ...]]) -> Look:
    def look(app: Application, chance: Random | None) -> Any:
        return loaded_page(app, kind, after=None if chance is None else cursor(kind, {}, place(chance)))

    return look


def _a_page_of_billing_schedules(company: Company, first: date, narrowing: Narrowing) -> Look:
    def look(app: Application, chance: Random | None) -> Any:
        if chance is None:
            return billing_schedules_page(app, **narrowing)
        key = chance.randrange(company.assets) + 1
        after = cursor(BILLING_SCHEDULES, {"asset_line_item_id": None, **narrowing}, (key, first, key))
        return billing_schedules_page(app, after=after, **narrowing)

    return look


def _reads_of_inputs(inputs: int) -> Iterator[Read]:
    customer, product = f"C-{max(1, inputs // 20_000):06d}", "flat, alone"
    for query in (
        "", "status=Loaded", "status=Rated", "status=Error", "code=no_price", "status=Rated,status=Error",
        f"customer_id={customer}", f"customer_id={customer},status=Error", f"customer_id={customer},from=2023-04-01",
        f'product="{product}"', f'product="{product}",code=no_price', f'product="{product}",from=2024-01-01',
        "from=2023-03-05,before=2023-03-06", "from=2023-03-01,before=2023-04-01,status=Rated",
        "code=no_price,from=2023-03-05,before=2023-03-06", "status=Rated,code=no_price",
    ):  # fmt: skip
        pairs = list(pairs_of(query)) if query else []
        yield Read(f"inputs, {query or 'all'}", _a_page_of_inputs(inputs, pairs))

    def history_of_one(app: Application, chance: Random | None) -> Any:
        key = inputs if chance is None else chance.randrange(inputs) + 1
        return usage_input_history(app, f"IN-{key:08d}")

    yield Read("history of an input", history_of_one)
    for by in CHOICES:
        yield Read(f"forecast by {by}", partial(_forecast, by=by))


def _forecast(app: Application, chance: Random | None, *, by: By) -> Any:
    return look_at_forecast(app, by)


def _selection(app: Application, chance: Random | None, *, pairs: list[tuple[str, str]]) -> Any:
    return select_usage_inputs(app, pairs, actor=ACTOR)


def _a_page_of_inputs(inputs: int, pairs: list[tuple[str, str]]) -> Look:
    wanted = filter_of(pairs)

    def look(app: Application, chance: Random | None) -> Any:
        if chance is None:
            return usage_inputs_page(app, pairs)
        key = chance.randrange(inputs)
        places: dict[tuple[type, ...], tuple[Any, ...]] = {
            (int,): (key,),
            (int, int): (key // 10, 0),
            (date, int): (wanted.usage_from, key),
        }
        place = places[order_of(wanted)]
        return usage_inputs_page(app, pairs, after=cursor(INPUTS, {"where": filter_text(wanted)}, place))

    return look


def _reads_of_runs(history: History) -> Iterator[Read]:
    filters: dict[str, RunFilter] = {
        "all": {},
        "status Completed": {"status": "Completed"},
        "status Failed, Running": {"status": ["Failed", "Running"]},
        "status Holding": {"status": "Holding"},
        "job": {"job": "usage-rating"},
        "customer": {"customer_id": "C-000014"},
        "period": {"period": "2026-03"},
        "no such period": {"period": "1999-01"},
        "customer and period": {"customer_id": "C-000014", "period": "2026-03"},
        "actor": {"run_actor": "person7"},
        "no such actor": {"run_actor": "nobody"},
        "schedule": {"schedule": "schedule 3"},
        "trigger": {"trigger": "retry"},
        "from, before": {"since": BEGIN + timedelta(days=100), "before": BEGIN + timedelta(days=130)},
        "errors": {"errors": True},
        "errors, actor, job": {"errors": True, "run_actor": "person0", "job": "usage-rating"},
        "job and trigger that no run has": {"job": "usage-rating", "trigger": "cli"},
    }
    for name, query in filters.items():
        yield Read(f"runs, {name}", _a_page_of_runs(history, query))
    for outcome, code in (
        (None, None), ("ok", None), ("error", None), ("error", "no_tier"), ("skipped", None), ("not_reached", None),
        (None, "no_price"), ("error", "no_such_code"),
    ):  # fmt: skip
        name = " ".join(filter(None, (outcome, code))) or "all"
        yield Read(f"outcomes, {name}", _a_page_of_outcomes(history, outcome, code))
    run_id = f"JR-{history.at_work:08}"
    ended = f"JR-{history.apart:08}"
    yield Read("outcomes by code, ended", lambda app, chance: outcome_summary(app, ended))
    yield Read("outcomes by code, at work", lambda app, chance: outcome_summary(app, run_id))
    yield Read("run at work, shown", lambda app, chance: show_run(app, run_id))
    yield Read("run at work, pace and strip", lambda app, chance: run_progress(app, run_id))


def _a_page_of_runs(history: History, asked: RunFilter) -> Look:
    wanted = asdict(query_of(asked))

    def look(app: Application, chance: Random | None) -> Any:
        if chance is None:
            return page_of_runs(app, **asked)
        key = chance.randrange(1, history.runs)
        place = Place(history.runs // 2, history.runs // 2, BEGIN + timedelta(minutes=5 * key), key)
        return page_of_runs(app, cursor(LISTING, wanted, place), **asked)

    return look


def _a_page_of_outcomes(history: History, outcome: str | None, code: str | None) -> Look:
    def look(app: Application, chance: Random | None) -> Any:
        run_id = f"JR-{history.apart * (1 if chance is None else chance.randrange(1, history.large + 1)):08}"
        if chance is None:
            return page_of_outcomes(app, run_id, outcome, code)
        place: tuple[Any, ...] = (chance.randrange(1, history.scopes), chance.randrange(SCOPE))
        if code is not None or outcome in ("error", "skipped"):
            rows = history.large * history.scopes * (SCOPE // BAD)
            place = outcome or "error", code or chance.choice(CODES), chance.randrange(rows)
        after = cursor(f"outcomes of {run_id}", {"outcome": outcome, "code": code}, place)
        return page_of_outcomes(app, run_id, outcome, code, after)

    return look


def measure(url: str, history: History, inputs: int, times: int) -> Iterator[str]:
    """Each read as a line of the table: p95 of its first page and of a page anywhere, and what its plans name."""
    app = make_application(Settings(database_url=url, executor="inline"))
    while refresh_forecast(app):
        pass
    for read in reads(history, inputs):
        cells = [f"{p95(list(_taken(app, read, times, first=first))):.1f}" for first in (True, False)]
        with planned(app.database.engine) as plans:  # type: ignore[arg-type]
            read.look(app, Random(1))
        found = dict.fromkeys(place for plan in plans for place in _PLACES.findall(plan))
        places = [place for place in found if not any(word in place for word in _OF_THE_CALLER)]
        sorts = sum(bool(_SORTS.search(plan)) for plan in plans)
        named = ", ".join(places) + (f"; sorts: {sorts} of {len(plans)}" if sorts else "")
        yield f"{read.name} | {' | '.join(cells)} | {named} |"
    app.close()


def _taken(app: Application, read: Read, times: int, *, first: bool) -> Iterator[float]:
    """Seconds of each time."""
    for seed in range(min(times, MOST_SLOW) if read.slow else times):
        chance = None if first else Random(seed)
        started = perf_counter()
        read.look(app, chance)
        yield perf_counter() - started


if __name__ == "__main__":
    main()
