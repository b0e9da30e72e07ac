"""Every record has exactly one outcome, and a run that is all errors stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.engine.job import Scope
from batchwright.engine.ledger import OutcomeReader, keys_to_retry, preview_lines
from batchwright.engine.limits import CeilingReached, check_ceiling
from batchwright.engine.run import State
from batchwright.engine.store.database import Database, upgrade
from batchwright.engine.store.tables import outcome
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig
from tests.support.run_log import every_run
from tests.support.rungs import depth

pytestmark = pytest.mark.on_both

FATES = ("ok", "error", "skipped", "poisoned")


def meted(fates: dict[int, str]) -> Callable[[Scope], None]:
    """Gives every record its fate."""

    def mete(scope: Scope) -> None:
        for key in scope.keys:
            if fates.get(key) == "poisoned":
                raise ValueError(f"{key} is poisoned")
            if fates.get(key) == "error":
                scope.error(key, "no_price", "no price")
            if fates.get(key) == "skipped":
                scope.skip(key, "wrong_status", "was rated")

    return mete


@settings(max_examples=depth(10, 25))
@given(
    fates=st.lists(st.sampled_from(FATES), max_size=40),
    size=st.integers(1, 9),
    ceiling=st.sampled_from([None, "0", "3", "10%", "50%"]),
)
def test_every_record_has_exactly_one_outcome(fates: list[str], size: int, ceiling: str | None) -> None:
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'batchwright.db'}"
        upgrade(url)
        rig = Rig(Database(url), [Metered])
        rig.fill(len(fates))
        by_key = dict(enumerate(fates, start=1))
        Metered.mete = staticmethod(meted(by_key))
        run = rig.drive(scope_size=size, error_ceiling=ceiling)
        entries = rig.outcomes(run)
        rig.database.close()
    assert [entry.record_key for entry in entries] == list(by_key)
    counts = Counter(entry.outcome for entry in entries)
    assert (run.processed, run.errored, run.skipped, run.not_reached) == tuple(
        counts[name] for name in ("ok", "error", "skipped", "not_reached")
    )
    assert run.processed + run.errored + run.skipped + run.not_reached == run.total == len(fates)
    for entry in entries:
        fate = by_key[entry.record_key].replace("poisoned", "error")
        assert entry.outcome in {fate, "not_reached"}
    assert (run.state is State.FAILED) == ceiling_hit(run.errored, ceiling, len(fates))
    assert run.state is State.FAILED or not run.not_reached


def ceiling_hit(errored: int, ceiling: str | None, total: int) -> bool:
    if ceiling is None:
        return False
    if ceiling.endswith("%"):
        return errored > total * int(ceiling[:-1]) / 100
    return errored > int(ceiling)


class Metered(Parcels):
    """Gives every record its fate."""

    mete: Callable[[Scope], None]

    def execute(self, scope: Scope) -> None:
        super().execute(scope)
        type(self).mete(scope)


@pytest.mark.parametrize(
    ("ceiling", "errored", "stops"),
    [
        (None, 1000, False),
        ("0", 0, False),
        ("0", 1, True),
        ("5", 5, False),
        ("5", 6, True),
        ("5%", 50, False),
        ("5%", 51, True),
        ("2.5%", 25, False),
        ("2.5%", 26, True),
        ("100%", 1000, False),
    ],
)
def test_a_run_stops_above_its_ceiling_not_at_it(ceiling: str | None, errored: int, stops: bool) -> None:
    if stops:
        with pytest.raises(CeilingReached):
            check_ceiling(ceiling, errored, 1000)
    else:
        check_ceiling(ceiling, errored, 1000)


@pytest.mark.parametrize("ceiling", ["3", "10%"])
def test_a_run_above_its_ceiling_has_failed_with_the_reason(
    rig: Rig, spy: type[Parcels], ceiling: str
) -> None:
    spy.on_execute = staticmethod(meted(dict.fromkeys((1, 2, 11, 12, 21), "error")))
    rig.fill(30)
    run = rig.drive(error_ceiling=ceiling)
    assert run.state is State.FAILED
    assert run.error == f"stopped at the error ceiling of {ceiling}: 4 of 30 records errored"
    assert (run.processed, run.errored, run.not_reached) == (16, 4, 10)
    assert rig.ledger(run) == {"ok": 16, "error": 4, "not_reached": 10}


def test_a_run_that_died_above_its_ceiling_fails_when_it_is_resumed(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        """Nobody catches it."""

    def die(ceiling: str | None, errored: int, total: int) -> None:
        if errored:
            raise PowerCut

    spy.on_execute = staticmethod(meted(dict.fromkeys(range(1, 6), "error")))
    rig.fill(10)
    run = rig.submit(error_ceiling="3")
    with monkeypatch.context() as patch:
        patch.setattr("batchwright.engine.processing.check_ceiling", die)
        with pytest.raises(PowerCut):
            rig.drive(run)
    assert rig.read(run).errored == 5
    assert rig.dispatcher().resume(run.id).state is State.FAILED


def test_an_ok_record_costs_no_row(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(meted({3: "error", 4: "skipped"}))
    rig.fill(30)
    run = rig.drive()
    assert sorted((row.record_key, row.outcome) for row in rig.rows(outcome)) == [
        (3, "error"),
        (4, "skipped"),
    ]
    assert run.processed == 28


def test_outcomes_are_in_the_order_of_the_run_with_the_jobs_ids_and_amounts(rig: Rig) -> None:
    rig.fill(12, groups=lambda key: -key)
    run = rig.drive(scope_size=5)
    entries = rig.outcomes(run)
    assert [entry.record_id for entry in entries] == [f"P-{key}" for key in range(12, 0, -1)]
    assert [entry.amount for entry in entries] == [(key, "USD") for key in range(12, 0, -1)]
    assert run.totals == {"worth": {"USD": sum(range(1, 13))}}


def test_outcomes_are_filtered_by_kind_and_code(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(meted({3: "error", 4: "skipped", 15: "error", 16: "poisoned"}))
    rig.fill(20)
    run = rig.drive()
    with rig.database.read() as connection:
        errors = list(OutcomeReader(run, spy(), outcome="error").all(connection))
        unforeseen = list(OutcomeReader(run, spy(), code="unforeseen").all(connection))
    assert [entry.record_key for entry in errors] == [3, 15, 16]
    assert [entry.record_key for entry in unforeseen] == [16]


def test_what_errored_or_was_not_reached_is_to_be_retried(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(meted({3: "error", 4: "skipped", 12: "poisoned"}))
    rig.fill(30)
    run = rig.drive(error_ceiling="1")
    with rig.database.read() as connection:
        assert list(keys_to_retry(connection, run)) == [3, 12, *range(21, 31)]


def test_counts_are_live_while_a_run_works(rig: Rig, spy: type[Parcels]) -> None:
    seen = []

    def look() -> bool:
        with rig.database.read() as connection:
            (run,) = every_run(connection)
            seen.append((run.processed, run.errored, run.total))
        return False

    spy.on_execute = staticmethod(meted({3: "error"}))
    rig.fill(30)
    rig.dispatcher().drive(rig.submit().id, look)
    assert seen == [(0, 0, 30), (9, 1, 30), (19, 1, 30)]


def test_a_dry_run_changes_nothing_and_stores_its_lines_in_order(rig: Rig, spy: type[Parcels]) -> None:
    rig.fill(25)
    run = rig.drive(mode="dry_run")
    with rig.database.read() as connection:
        lines = list(preview_lines(connection, run))
    assert set(rig.handled().values()) == {0}
    assert [line.record_id for line in lines] == [str(key) for key in range(1, 26)]
    assert run.totals == rig.drive().totals
