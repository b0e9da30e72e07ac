"""Seeded short versions of the soaks of real worker processes, for every run of the suite."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.soak import fairness, kills, outages, slots, stops
from tests.support.postgres import postgres_server
from tests.support.rungs import depth

SEED = 20260101
STOPS = depth({"sqlite": 1, "postgresql": 1}, {"sqlite": 3, "postgresql": 2})
"""In a scope, between two, and where a heartbeat is a transaction, in one."""
KILLS = depth({"scope": 1}, {"planning": 1, "scope": 1, "finish": 1, "mail": 1})

pytestmark = pytest.mark.timeout(180)


def _silent(_text: str) -> None:
    pass


@pytest.mark.on_both
def test_runs_whose_workers_are_killed_end_by_themselves_like_runs_left_alone(
    database_kind: str, database_url: str, tmp_path: Path
) -> None:
    cell = f"{database_kind}/inline"
    rounds = kills.soak(
        cell, database_url, tmp_path / "fleet", wanted=KILLS, chance=Random(SEED), say=_silent, runs=2, workers=2,
        inputs=400,
    )  # fmt: skip
    found = list(rounds)
    assert [fault for one in found for fault in one.faults] == []
    assert sorted(kill.place for one in found for kill in one.kills) == sorted(KILLS)


@pytest.mark.on_both
def test_a_worker_that_was_stopped_and_overtaken_commits_nothing_more(
    database_kind: str, database_url: str, tmp_path: Path
) -> None:
    wanted = STOPS[database_kind]
    found = stops.compare(database_url, tmp_path / "fleet", stops=wanted, seed=SEED, say=_silent, inputs=450)
    assert found.faults == []
    assert found.stops == wanted


@pytest.mark.long
def test_runs_outlast_a_breakdown_of_the_server_and_cut_connections(tmp_path: Path) -> None:
    with postgres_server(fsync=True) as server:  # what it has committed has to outlast it
        url = server.create_database("outages_in_short")
        found = outages.compare(
            url, server, tmp_path / "fleet", restarts=1, seed=SEED, say=_silent, inputs=900, cuts_between=5
        )
    assert found.faults == []
    assert found.restarts == 1
    assert found.cuts > 0


@pytest.mark.long
def test_no_process_that_shares_an_sqlite_file_waits_until_another_is_through(tmp_path: Path) -> None:
    somewhat = (0.01, 0.97)  # how even the shares are shows only over many commits, in the soak
    found = fairness.compare(
        f"sqlite:///{tmp_path / 'shared.db'}", tmp_path, commits=120, say=_silent, fair=somewhat
    )
    assert found.faults == []


def test_competing_workers_keep_to_the_slots_and_to_the_lines(database_url: str, tmp_path: Path) -> None:
    found = slots.compare(database_url, tmp_path / "fleet", runs=depth(8, 20), others=2, workers=4)
    assert found.faults == []
    assert found.most_active == slots.MAX_ACTIVE_RUNS
