"""The acts of the stateful machine on a large company, chosen by chance; its promises are checked after every one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

from tests.jobs.melee import FREQUENCIES, some_inputs
from tests.jobs.world import FIRST_DAY, MONTHS, World
from tests.soak.melee import INPUTS_PER_ASSET, application

Say = Callable[[str], None]

_BAD_QUANTITIES: Final = ("41", "-1")
_STATUSES: Final = ("pending_invoice", "invoiced", "invoiced", "pending_billing")


def compare(url: str, folder: Path, *, steps: int, inputs: int, seed: int, say: Say) -> list[str]:
    """Do so many acts; the first promise that is broken, and after which acts."""
    chance, done, began = Random(seed), list[str](), time.monotonic()
    assets = max(2, inputs // INPUTS_PER_ASSET)
    with application(url, folder) as app:
        world = World(app)
        world.begin(some_inputs(chance, inputs, assets), assets)
        for step in range(steps):
            ids = [row.usage_input_id for row in world.inputs()]
            acts = _acts(world, chance, chance.sample(ids, len(ids) // 5))
            name = chance.choice(sorted(acts))
            done.append(name)
            acts[name]()
            try:
                world.check()
            except AssertionError as error:
                return [f"after {', '.join(done[-20:])} (act {step + 1}): {str(error)[:500]}"]
            if (step + 1) % 20 == 0:
                say(f"{step + 1} acts in {time.monotonic() - began:.0f} s")
    counts = ", ".join(f"{name} {count}" for name, count in sorted(Counter(done).items()))
    say(f"{len(done)} acts, no fault: {counts}")
    return []


def _acts(world: World, chance: Random, some: list[str]) -> Mapping[str, Callable[[], object]]:
    def amend() -> None:
        for asset in chance.sample(world.assets, max(1, len(world.assets) // 20)):
            end = FIRST_DAY + timedelta(days=chance.choice([150, 180, 240]))
            world.amend(asset, billing_frequency=chance.choice(FREQUENCIES), end_date=end.isoformat())

    def edit() -> None:
        for an_id in some[:10]:
            day = FIRST_DAY + timedelta(days=chance.randrange(190))
            world.edit(an_id, day, chance.choice(("3", "12.5", *_BAD_QUANTITIES)))

    def invoice() -> None:
        for schedule in chance.sample(world.billing_schedule_ids(), 10):
            world.set_status(schedule, chance.choice(_STATUSES))

    def change_price() -> None:
        day = FIRST_DAY + timedelta(days=chance.randrange(180))
        world.change_price(chance.choice(["data", "plans"]), chance.randint(1, 3), day)

    return {
        "load": lambda: world.load(some_inputs(chance, 50, len(world.assets))),
        "forecast": lambda: world.forecast({"include_rated": chance.random() < 0.5}),
        "forecast some": lambda: world.forecast({"usage_input_ids": some}),
        "forecast assets": lambda: world.forecast({"asset_line_item_ids": world.assets[::3]}),
        "rate": world.rate,
        "rate some": lambda: world.rate(some),
        "unrate some": lambda: world.unrate(some),
        "recalculate": lambda: world.recalculate(chance.sample(range(1, MONTHS + 1), 2)),
        "reset": world.reset,
        "edit": edit,
        "amend": amend,
        "invoice": invoice,
        "change price": change_price,
        "update price": lambda: world.update_price(
            chance.choice(["data", "plans"]), {"included_quantity": chance.choice(["", "5"])}
        ),
        "reprice": lambda: world.reprice(chance.choice(["data", "plans"]), chance.randint(1, 3)),
    }
