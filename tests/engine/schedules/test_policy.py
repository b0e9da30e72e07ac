"""What becomes of the times that are due, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchwright.engine.schedule import Hold, Misfire, NotRunCause, NotRunReason, Overlap, Schedule
from batchwright.engine.schedules import due, policy
from batchwright.engine.schedules.policy import Decision, SkippedTimes, Start

BEGIN = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HELD_NEVER = Hold()


def schedule(cron: str = "0 * * * * ?", **values: Any) -> Schedule:
    made = Schedule(
        id=1, name="Nightly", cron=cron, job="parcels", parameters={}, owner="dana", created_at=BEGIN, timed_at=BEGIN,
        paused=False, paused_at=None, resumed_at=None, last_nominal_time=None,
    )  # fmt: skip
    return replace(made, **values)


def at(minutes: float, seconds: float = 0) -> datetime:
    """So long after 12:00."""
    return datetime(2026, 3, 1, 12, 0, tzinfo=UTC) + timedelta(minutes=minutes, seconds=seconds)


def decided(one: Schedule, now: datetime, **known: Any) -> list[Decision]:
    return list(policy.decide(one, now, hold=known.pop("hold", HELD_NEVER), **known).decisions)


def started(decisions: list[Decision]) -> list[datetime]:
    return [one.nominal_time for one in decisions if isinstance(one, Start)]


def not_run(decisions: list[Decision]) -> list[tuple[datetime, datetime, int]]:
    return [(one.first, one.last, one.count) for one in decisions if isinstance(one, SkippedTimes)]


def reasons(decisions: list[Decision]) -> list[str]:
    return [one.reason.text for one in decisions if isinstance(one, SkippedTimes)]


def test_a_time_starts_a_run_at_the_very_moment_it_comes_and_not_before() -> None:
    assert decided(schedule(), at(1) - due.A_MOMENT) == []
    assert started(decided(schedule(), at(1))) == [at(1)]


def test_times_up_to_the_last_recorded_one_are_not_due_again() -> None:
    assert decided(schedule(last_nominal_time=at(1)), at(1, 59)) == []
    assert started(decided(schedule(last_nominal_time=at(1)), at(2))) == [at(2)]


def test_times_before_creation_or_a_change_of_the_expression_are_not_due() -> None:
    assert decided(schedule(created_at=at(1), timed_at=at(1)), at(1, 30)) == []
    assert started(decided(schedule(timed_at=at(2)), at(3))) == [at(3)]


def test_times_equal_to_start_and_end_fire_and_none_outside() -> None:
    bounded = schedule(start=at(2), end=at(3), misfire=Misfire.ALL)
    assert decided(bounded, at(1, 59)) == []
    assert started(decided(bounded, at(3, 5))) == [at(2), at(3)]
    assert decided(replace(bounded, last_nominal_time=at(3)), at(9)) == []


@pytest.mark.parametrize(("misfire", "runs"), [("skip", []), ("latest", [5]), ("all", [1, 2, 3, 4, 5])])
def test_the_misfire_policy_says_which_of_the_missed_times_are_run(misfire: str, runs: list[int]) -> None:
    decisions = decided(schedule(misfire=Misfire(misfire), overlap=Overlap.ALLOW), at(5, 30))
    assert started(decisions) == [at(minute) for minute in runs]
    skipped = 5 - len(runs)
    assert not_run(decisions) == ([(at(1), at(skipped), skipped)] if skipped else [])


@pytest.mark.parametrize("misfire", Misfire)
def test_a_time_five_seconds_late_is_on_time_under_every_policy(misfire: Misfire) -> None:
    assert started(decided(schedule(misfire=misfire), at(1, 5))) == [at(1)]


def test_a_time_more_than_five_seconds_late_is_missed() -> None:
    decisions = decided(schedule(misfire=Misfire.SKIP), at(1, 5.000001))
    assert not_run(decisions) == [(at(1), at(1), 1)]
    assert reasons(decisions) == ["misfire skipped: policy skip"]


def test_with_a_time_that_is_on_time_the_policy_latest_makes_up_for_none() -> None:
    decisions = decided(schedule(), at(5, 1))
    assert started(decisions) == [at(5)]
    assert not_run(decisions) == [(at(1), at(4), 4)]


def test_of_all_missed_times_the_last_up_to_the_cap_are_run() -> None:
    decisions = decided(schedule(misfire=Misfire.ALL), at(26 * 60, 30))
    assert started(decisions) == [at(26 * 60 - 23 + number) for number in range(24)]
    assert not_run(decisions) == [(at(1), at(26 * 60 - 24), 26 * 60 - 24)]
    assert reasons(decisions) == ["misfire skipped: policy all runs the last 24"]


@pytest.mark.parametrize(
    ("misfire", "grace", "runs"),
    [
        ("skip", 90, [5]),
        ("skip", 20, []),
        ("latest", 20, []),
        ("latest", 90, [5]),
        ("all", 90, [4, 5]),
        ("all", 0, []),
    ],
)
def test_the_grace_says_how_late_a_missed_time_may_still_be_run(
    misfire: str, grace: int, runs: list[int]
) -> None:
    decisions = decided(schedule(misfire=Misfire(misfire), grace_seconds=grace), at(5, 30))
    assert started(decisions) == [at(minute) for minute in runs]
    assert reasons(decisions) == [f"misfire skipped: policy {misfire}, grace {grace} s"]


def test_a_time_exactly_as_late_as_the_grace_is_run() -> None:
    assert started(decided(schedule(grace_seconds=30), at(1, 30))) == [at(1)]


def test_nothing_fires_and_nothing_is_recorded_during_a_pause_or_a_hold() -> None:
    paused = schedule(paused=True, paused_at=at(1))
    assert policy.decide(paused, at(60), hold=HELD_NEVER) == policy.Verdict()
    assert policy.decide(schedule(), at(60), hold=Hold(at(1), None)) == policy.Verdict()


def test_after_a_pause_the_policy_decides_and_the_rest_is_recorded_as_paused() -> None:
    resumed = schedule(paused_at=at(2, 30), resumed_at=at(7, 30))
    decisions = decided(resumed, at(9, 30))
    assert started(decisions) == [at(9)]
    assert [(*rest, reason) for rest, reason in zip(not_run(decisions), reasons(decisions), strict=True)] == [
        (at(1), at(2), 2, "misfire skipped: policy latest"),
        (at(3), at(7), 5, "paused"),
        (at(8), at(8), 1, "misfire skipped: policy latest"),
    ]


def test_after_a_hold_what_is_not_run_is_recorded_as_held() -> None:
    decisions = decided(schedule(misfire=Misfire.SKIP), at(9, 30), hold=Hold(at(0), at(9, 20)))
    assert (not_run(decisions), reasons(decisions)) == ([(at(1), at(9), 9)], ["held"])


def test_missed_times_found_after_the_end_are_recorded_as_ended() -> None:
    decisions = decided(schedule(end=at(3)), at(4))
    assert (not_run(decisions), reasons(decisions)) == (
        [(at(1), at(3), 3)],
        ["ended: found after the end of the schedule"],
    )


def test_with_a_grace_missed_times_are_made_up_for_even_after_the_end() -> None:
    assert started(decided(schedule(end=at(3), grace_seconds=600), at(4))) == [at(3)]


def test_while_a_run_lives_times_are_overlapped_and_name_it() -> None:
    decisions = decided(schedule(), at(1), live="JR-00000007")
    assert reasons(decisions) == ["overlapped: JR-00000007 had not ended"]


def test_with_overlap_allowed_or_queued_a_live_run_keeps_none_back() -> None:
    for overlap, waits in ((Overlap.ALLOW, False), (Overlap.QUEUE, True)):
        assert decided(schedule(overlap=overlap), at(1), live="JR-00000007") == [Start(at(1), waits)]


def test_runs_that_make_up_for_missed_times_wait_for_each_other() -> None:
    decisions = decided(schedule(misfire=Misfire.ALL), at(3, 30))
    assert decisions == [Start(at(1)), Start(at(2), after_earlier=True), Start(at(3), after_earlier=True)]


def test_of_several_times_on_time_at_once_the_first_overlaps_the_others() -> None:
    decisions = decided(schedule("* * * * * ?", last_nominal_time=at(1)), at(1, 3))
    reason = NotRunReason(NotRunCause.OVERLAPPED, "overlapped: the run of 2026-03-01T12:01:01Z had not ended")
    assert decisions == [Start(at(1, 1)), SkippedTimes(at(1, 2), at(1, 3), 2, reason)]


def test_times_that_a_backfill_recorded_are_left_out() -> None:
    verdict = policy.decide(schedule(), at(5, 30), hold=HELD_NEVER, recorded={at(2), at(5)})
    assert not_run(list(verdict.decisions)) == [(at(1), at(1), 1), (at(3), at(4), 2)]
    assert verdict.up_to == at(5)


def test_a_month_of_seconds_is_one_range_decided_in_a_moment() -> None:
    month = timedelta(days=31)
    paused = schedule("* * * * * ?", paused_at=BEGIN, resumed_at=BEGIN + month)
    decisions = decided(paused, BEGIN + month)
    assert started(decisions) == [BEGIN + month]
    assert not_run(decisions) == [(BEGIN + SECOND, BEGIN + month - SECOND, 31 * 86_400 - 1)]
    assert reasons(decisions) == ["paused"]


def test_what_came_in_a_pause_is_never_on_time() -> None:
    resumed = schedule("* * * * * ?", paused_at=BEGIN, resumed_at=BEGIN + 3 * SECOND, misfire=Misfire.SKIP)
    decisions = decided(resumed, BEGIN + 4 * SECOND)
    assert (not_run(decisions), reasons(decisions)) == ([(BEGIN + SECOND, BEGIN + 3 * SECOND, 3)], ["paused"])
    assert started(decisions) == [BEGIN + 4 * SECOND]


def test_a_repeated_hour_is_decided_in_the_order_of_instants() -> None:
    # 00:30 in New York; 01:00 comes at 05:00 and at 06:00 UTC.
    begin = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
    hourly = schedule(
        "0 0 * * * ?", time_zone="America/New_York", created_at=begin, timed_at=begin, misfire=Misfire.ALL
    )
    decisions = decided(hourly, datetime(2026, 11, 1, 7, 10, tzinfo=UTC))
    assert started(decisions) == [datetime(2026, 11, 1, hour, tzinfo=UTC) for hour in (5, 6, 7)]


def test_the_next_fire_leaves_out_what_is_late() -> None:
    assert due.next_due(schedule()) == at(1)
    assert due.next_fire(schedule(), at(7)) == at(8)
    assert due.next_fire(schedule(end=at(7)), at(7)) is None


@pytest.mark.parametrize("number", [1, 5, 100, 4000])
def test_the_newest_times_are_the_end_of_all_of_them(number: int) -> None:
    for cron in ("0 * * * * ?", "* 0-2 12 ? * SUN", "0 0 0 1 * ?"):
        expression = schedule(cron).expression
        until = at(3 * 24 * 60)
        after = until - timedelta(days=20)
        assert (
            due.newest(expression, after, until, number) == list(due.each(expression, after, until))[-number:]
        )


@pytest.mark.parametrize("misfire", list(Misfire))
def test_lateness_counts_from_when_it_was_found_that_a_time_is_due(misfire: Misfire) -> None:
    one = schedule(misfire=misfire)
    assert started(decided(one, at(1, 50), found=at(1, 5))) == [at(1)]
    assert at(1) not in started(decided(schedule(misfire=Misfire.SKIP), at(1, 50), found=at(1, 6)))


def test_what_comes_while_the_deciding_waits_is_on_time_up_to_the_cap() -> None:
    one = schedule(misfire=Misfire.SKIP, overlap=Overlap.ALLOW)
    assert started(decided(one, at(4, 10), found=at(1))) == [at(1), at(2), at(3), at(4)]
    dense = schedule("* * * * * ?", misfire=Misfire.SKIP, overlap=Overlap.ALLOW, cap=3)
    decisions = decided(dense, at(10), found=at(1))
    assert started(decisions) == [at(10) - number * SECOND for number in (8, 7, 6, 5, 4, 3, 2, 1, 0)]
    assert sum(one.count for one in decisions if isinstance(one, SkippedTimes)) == 561


def test_a_grace_counts_from_then_too() -> None:
    one = schedule(misfire=Misfire.SKIP, grace_seconds=60)
    assert started(decided(one, at(3, 30), found=at(2, 0), recorded=[at(2), at(3)])) == [at(1)]
