"""`python -m bench.cron`: next fires per second, beside croniter, cronsim and APScheduler where they are installed.

Each walks the same expressions from fire to fire, in turns and in the time of the processor, so that a busy machine
disturbs all alike; the best round of each counts. Their fires are compared first. `--hostile 1000` tells instead what
the explanation of so many hostile expressions takes: words, the next ten times and those of the last seven days.
"""

from __future__ import annotations

import argparse
import os
import platform
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from random import Random
from time import process_time
from zoneinfo import ZoneInfo

from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.cron import CronExpression
from batchwright.engine.errors import Refused
from batchwright.operations.actor import Actor, Door
from batchwright.operations.app import Application, make_application
from batchwright.operations.schedules.looking import foresee_times
from bench.measure import databases
from tests.engine.cron.hostile import hostile

Walk = Callable[[int], list[datetime]]
"""Gives that many fires, one after the other."""
Maker = Callable[[str, str, str, datetime], Walk]
"""From a Unix line, the same with seconds as Quartz has it, a zone and the beginning."""

# What all of them read: as a Unix line with names for weekdays, and as Quartz writes it.
EXPRESSIONS = (
    ("* * * * *", "0 * * * * ?"),
    ("*/15 * * * *", "0 0/15 * * * ?"),
    ("0 * * * *", "0 0 * * * ?"),
    ("30 2 * * *", "0 30 2 * * ?"),
    ("0 9 * * mon-fri", "0 0 9 ? * MON-FRI"),
    ("0 12 1 * *", "0 0 12 1 * ?"),
    ("5,35 8-18 * 3,9 *", "0 5,35 8-18 * 3,9 ?"),
    ("0 0 29 2 *", "0 0 0 29 2 ?"),
)
ZONES = ("UTC", "America/New_York")
SAMPLE = 20
"""Fires that are compared before anything is measured."""


def ours(_unix: str, quartz: str, zone: str, begin: datetime) -> Walk:
    expression = CronExpression(quartz, zone)

    def walk(count: int) -> list[datetime]:
        found: list[datetime] = []
        fire: datetime | None = begin
        while len(found) < count and fire is not None:
            fire = expression.next_after(fire)
            if fire is not None:
                found.append(fire)
        return found

    return walk


def croniter(unix: str, _quartz: str, _zone: str, begin: datetime) -> Walk:
    make = import_module("croniter").croniter

    def walk(count: int) -> list[datetime]:
        fires = make(unix, begin)
        return [fires.get_next(datetime) for _ in range(count)]

    return walk


def cronsim(unix: str, _quartz: str, _zone: str, begin: datetime) -> Walk:
    make = import_module("cronsim").CronSim

    def walk(count: int) -> list[datetime]:
        fires = make(unix, begin)
        return [next(fires) for _ in range(count)]

    return walk


def apscheduler(unix: str, _quartz: str, zone: str, begin: datetime) -> Walk:
    trigger = import_module("apscheduler.triggers.cron").CronTrigger.from_crontab(
        unix, timezone=ZoneInfo(zone)
    )

    def walk(count: int) -> list[datetime]:
        found: list[datetime] = []
        fire = begin
        for _ in range(count):
            # As its scheduler asks: the last fire, and the time it is now.
            fire = trigger.get_next_fire_time(fire, fire)
            found.append(fire)
        return found

    return walk


OTHERS: dict[str, Maker] = {"croniter": croniter, "cronsim": cronsim, "apscheduler": apscheduler}


def main() -> None:
    given = _arguments()
    if given.hostile:
        explain_hostile(given.hostile)
        return
    missing = [name for name in OTHERS if not _is_installed(name)]
    makers = {"ours": ours} | {name: make for name, make in OTHERS.items() if name not in missing}
    print(f"Python {platform.python_version()}; next fires per second, and how many times faster ours are")
    for name in missing:
        print(f"{name} is not installed and left out")
    print("| expression | zone | " + " | ".join(makers) + " |")
    print("|" + "---|" * (len(makers) + 2))
    least = dict.fromkeys(list(makers)[1:], float("inf"))
    for unix, quartz, zone, speeds in measure(makers, given.fires, given.rounds):
        ratios = {name: speeds["ours"] / speed for name, speed in speeds.items() if name != "ours"}
        least = {name: min(ratio, ratios.get(name, ratio)) for name, ratio in least.items()}
        cells = [f"{speeds['ours']:,.0f}", *(_cell(speeds, ratios, name) for name in least)]
        print(f"| `{unix}` / `{quartz}` | {zone} | " + " | ".join(cells) + " |", flush=True)
    for name, ratio in least.items():
        print(f"at least {ratio:.2f} times as fast as {name}")


def explain_hostile(number: int) -> None:
    """Print the slowest and the largest of so many explanations, in processor time and in bytes."""
    with databases("sqlite") as new_url:
        app = make_application(Settings(database_url=new_url()), door=Door.PYTHON)
        app.database.upgrade()
        actor = Actor("bench", operating_system_user())
        found = [_cost(app, actor, text, zone) for text, zone in hostile(number, Random(7))]
        app.close()
    times, peaks = (sorted(values) for values in zip(*found, strict=True))
    print(
        f"{number:,} hostile expressions: {times[number // 2]:.1f} ms in the middle, {times[-1]:.1f} ms at most,"
    )
    print(f"{peaks[-1] / 1e6:.2f} MB at most; load {os.getloadavg()[0]:.1f}")


def _cost(app: Application, actor: Actor, text: str, zone: str) -> tuple[float, int]:
    def explained() -> None:
        with suppress(Refused):
            foresee_times(app, text, zone, actor=actor)

    explained()  # the file of the zone is read once
    began = process_time()
    explained()
    taken = 1_000 * (process_time() - began)
    tracemalloc.start()
    explained()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken, peak


def measure(
    makers: dict[str, Maker], fires: int, rounds: int
) -> Iterator[tuple[str, str, str, dict[str, float]]]:
    """The best speed of each maker for each expression and zone; one that fires otherwise is left out."""
    for unix, quartz in EXPRESSIONS:
        for zone in ZONES:
            begin = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
            walks = {name: make(unix, quartz, zone, begin) for name, make in makers.items()}
            samples = {name: [at.astimezone(UTC) for at in walk(SAMPLE)] for name, walk in walks.items()}
            agreeing = {name: walk for name, walk in walks.items() if samples[name] == samples["ours"]}
            count = min(fires, _most(unix))
            speeds = dict.fromkeys(agreeing, 0.0)
            for _ in range(rounds):
                for name, walk in agreeing.items():
                    speeds[name] = max(speeds[name], _speed(walk, count))
            yield unix, quartz, zone, speeds


def _speed(walk: Walk, count: int) -> float:
    started = process_time()
    found = len(walk(count))
    return found / (process_time() - started)


def _most(unix: str) -> int:
    """A day that comes every four years comes seldom before the year 2199."""
    return 30 if unix == "0 0 29 2 *" else 1_000_000


def _cell(speeds: dict[str, float], ratios: dict[str, float], name: str) -> str:
    return f"{speeds[name]:,.0f} (x{ratios[name]:.1f})" if name in speeds else "fires otherwise"


def _is_installed(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cron", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--fires", type=int, default=2_000, help="in each round (2,000)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the best counts (5)")
    parser.add_argument(
        "--hostile", type=int, default=0, help="so many hostile expressions, and nothing else"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
