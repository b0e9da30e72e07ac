"""Where a restart check kills, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection

from batchwright.engine.events import Point
from batchwright.engine.job import Finish, Record, StartContext
from batchwright.testing.child import Place
from batchwright.testing.restart import NotRestartSafe, places
from tests.testing.faulty_jobs import DependsOnItsScopes, DrawsAtRandom
from tests.testing.ledger_of_points import metadata, points_data
from tests.testing.sound_jobs import SetsPoints

Reached = list[tuple[Point, int | None]]


def test_points_of_a_scope_are_taken_in_the_first_and_in_the_last() -> None:
    reached: Reached = [
        ("planned", None),
        ("scope read", 1),
        ("scope read", 2),
        ("scope read", 3),
        ("ended", None),
    ]
    assert list(places(reached)) == [
        Place("planned", None),
        Place("scope read", 1),
        Place("scope read", 3),
        Place("ended", None),
    ]


def test_the_last_trial_of_a_scope_is_taken_too() -> None:
    reached: Reached = [("scope read", scope) for scope in (1, 2, 2, 2, 2, 3)]
    assert list(places(reached)) == [
        Place("scope read", 1),
        Place("scope read", 2, 4),
        Place("scope read", 3),
    ]


def test_a_place_says_where_it_is() -> None:
    assert str(Place("finish saved", None)) == "'finish saved'"
    assert str(Place("scope read", 2, 4)) == "'scope read' of scope 2, time 4"


def test_data_without_a_record_is_refused(assert_restart_safe: Callable[..., None]) -> None:
    def empty(connection: Connection) -> None:
        metadata.create_all(connection)

    with pytest.raises(ValueError, match="start of sets-points gives no record of this data"):
        assert_restart_safe(SetsPoints(), empty)


class Fails(SetsPoints):
    """Fails as a whole."""

    name = "fails"

    def finish(self, finish: Finish) -> None:
        raise ValueError("never")


def test_a_job_that_does_not_complete_undisturbed_is_told_of(
    assert_restart_safe: Callable[..., None],
) -> None:
    with pytest.raises(NotRestartSafe) as raised:
        assert_restart_safe(Fails(), points_data)
    assert "an undisturbed run was not completed\n  the run is Failed: ValueError: never" in str(raised.value)


class Breaks(SetsPoints):
    """Cannot plan."""

    name = "breaks"

    def start(self, context: StartContext) -> Iterator[Record]:
        raise KeyError("price")


def test_a_job_that_raises_in_start_shows_its_traceback(assert_restart_safe: Callable[..., None]) -> None:
    with pytest.raises(NotRestartSafe) as raised:
        assert_restart_safe(Breaks(), points_data)
    assert "the process broke off" in str(raised.value)
    assert "KeyError: 'price'" in str(raised.value)


@pytest.mark.long
def test_columns_that_are_ignored_are_not_compared(assert_restart_safe: Callable[..., None]) -> None:
    assert_restart_safe(DrawsAtRandom(), points_data, ignore={"purchase": ["points"]})


@pytest.mark.long
def test_a_dependence_on_scopes_that_is_meant_can_be_allowed(
    assert_restart_safe: Callable[..., None],
) -> None:
    assert_restart_safe(DependsOnItsScopes(), points_data, any_scopes=False)
