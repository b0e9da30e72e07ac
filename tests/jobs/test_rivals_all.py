"""Rate twice, draft, unrate, apply previews, recalculate, reset, edit, amend, invoice and reprice, all at once."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from batchwright.operations.app import Application
from tests.jobs.melee import play, some_inputs
from tests.jobs.world import World
from tests.support.rungs import depth

pytestmark = pytest.mark.on_both

ASSETS, INPUTS = 6, 120


@pytest.mark.parametrize("seed", range(depth(1, 3)))
def test_whatever_is_done_at_once_every_input_is_charged_once_and_the_books_balance(
    app: Application, tmp_path: Path, seed: int
) -> None:
    world = World(app)
    world.begin(some_inputs(Random(seed), INPUTS, ASSETS), ASSETS)
    assert play(world, tmp_path, seed, scope_size=10) == []
