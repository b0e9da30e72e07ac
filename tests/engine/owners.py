"""Processes that drive a run and stop at a place in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchwright.engine.run import Run
from tests.engine.jobs import HALT_AT
from tests.engine.rig import Rig

ROOT = Path(__file__).parents[2]
Owner = subprocess.Popen[str]


@pytest.fixture
def owner_at(rig: Rig) -> Iterator[Callable[[Run, str], Owner]]:
    """Starts a process that drives a run and stops at a place in it; returns when it is there."""
    owners: list[Owner] = []

    def start(run: Run, place: str) -> Owner:
        url = rig.database.url.render_as_string(hide_password=False)
        owner = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.worker", url, str(run.id)],
            env={**os.environ, HALT_AT: place},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        owners.append(owner)
        assert owner.stdout is not None
        assert owner.stdout.readline() == f"{place}\n"
        return owner

    yield start
    for owner in owners:
        owner.kill()
        owner.communicate()
