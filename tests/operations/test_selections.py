"""Selections: what matched a filter at one moment, and the runs that take just that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from batchwright.billing.records import input_filter
from batchwright.billing.tables import input_selection, usage_input
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing import selections
from batchwright.operations.billing.selections import (
    prune_selections,
    select_usage_inputs,
    show_selection,
    submit_on_selection,
    sum_usage_inputs,
)
from batchwright.operations.billing.usage_inputs import (
    add_usage_input,
    delete_usage_inputs,
    edit_usage_input,
    list_usage_inputs,
    reset_usage_inputs,
    show_usage_input,
    usage_inputs_page,
)
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import run_outcomes
from batchwright.operations.runs.previews import run_preview
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.schedules import add_schedule
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, NOW
from tests.support.records import Books
from tests.support.rungs import depth

Write = Callable[[Callable[[Books], Any]], Any]
Pairs = Iterable[tuple[str, str]]

BY_DRAFT = {"status": "Error", "error_by": "draft", "code": "no_price", "message": "no price for data"}


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `app`; what waits moves it."""
    return FakeClock(NOW)


def make_inputs(app: Application, write: Write, number: int, assets: int = 3) -> list[str]:
    """So many inputs of June, Loaded, of these assets in turn; each costs 20.00 USD."""

    def fill(books: Books) -> list[int]:
        keys = []
        for place in range(assets):
            asset = books.asset(f"AL-{place}", customer_id=f"CU-{place}")
            billing_schedule = books.billing_schedule(asset, f"BS-{place}")
            books.usage_schedule(asset, billing_schedule, f"US-{place}")
            keys.append(asset)
        return keys

    keys = write(fill)
    rows = [
        {
            "usage_input_id": f"MINE-{place}",
            "asset_key": keys[place % assets],
            "usage_date": date(2023, 6, 5),
            "quantity": Decimal(10),
            "product_uom": "Each",
            "status": "Loaded",
            "deleted": False,
        }
        for place in range(number)
    ]
    with app.database.write() as connection:
        connection.execute(insert(usage_input), rows)
    return [str(row["usage_input_id"]) for row in rows]


def chosen(app: Application, *pairs: tuple[str, str]) -> dict[str, Any]:
    return select_usage_inputs(app, pairs, actor=ACTOR)


def run(app: Application, job: str, parameters: dict[str, Any], mode: str = "batch") -> dict[str, Any]:
    submitted = submit_run(app, job, parameters, actor=ACTOR, mode=mode, mail_actor=False)
    return drive_submitted(app, submitted)


def run_selected(app: Application, job: str, selection: dict[str, Any], **more: Any) -> dict[str, Any]:
    return run(app, job, {"selection_id": selection["selection_id"]}, **more)


def test_a_selection_tells_what_it_holds(app: Application, write: Write, clock: FakeClock) -> None:
    ids = make_inputs(app, write, 12)
    run(app, "usage-rating", {"usage_input_ids": ids[:3]})
    run(app, "draft-usage-rating", {"usage_input_ids": ids[3:5]})
    selection = chosen(app, ("asset_line_item_id", "AL-0"), ("asset_line_item_id", "AL-1"))
    assert selection.pop("selection_id").startswith("SEL-")
    assert selection == {
        "count": 8,
        "by_status": {"Loaded": 6, "Rated": 2, "Error": 0},
        "sums": {"rated_amount": {"USD": "40.00"}, "draft_rated_amount": {"USD": "40.00"}},
        "assets": 2,
        "partial_assets": 0,
        "expires_at": "2023-07-01T09:30:00.000Z",
    }


def test_a_selection_is_shown_again_as_it_was_told_to_who_made_it_and_to_nobody_else(
    app: Application, write: Write, clock: FakeClock
) -> None:
    make_inputs(app, write, 3)
    selection = chosen(app)
    run(app, "usage-rating", {})
    assert show_selection(app, selection["selection_id"], actor=ACTOR) == selection
    with pytest.raises(Refused, match="there is no selection"):
        show_selection(app, selection["selection_id"], actor=Actor("somebody", ACTOR.os_user, ACTOR.door))
    clock.sleep(selections.GOOD_FOR.total_seconds())
    with pytest.raises(Refused, match="it has expired"):
        show_selection(app, selection["selection_id"], actor=ACTOR)


@pytest.mark.on_both
def test_a_selection_of_ids_holds_just_these(app: Application, write: Write) -> None:
    ids = make_inputs(app, write, 6, assets=2)
    selection = select_usage_inputs(app, usage_input_ids=[ids[0], ids[2], ids[0]], actor=ACTOR)
    assert (selection["count"], selection["assets"], selection["partial_assets"]) == (2, 1, 1)
    outcome = run_selected(app, "usage-rating", selection)
    assert {one["record_id"] for one in run_outcomes(app, outcome["run_id"], actor=ACTOR)} == {ids[0], ids[2]}


def test_a_selection_of_ids_is_refused_where_one_is_unknown_or_there_are_too_many(app: Application) -> None:
    for ids, why in (([], "no id"), (["IN-0"], "IN-0"), ([f"IN-{n}" for n in range(1_001)], "1,001 usage")):
        with pytest.raises(Refused, match=why):
            select_usage_inputs(app, usage_input_ids=ids, actor=ACTOR)


def summed(
    app: Application, pairs: list[tuple[str, str]], between: Callable[[], None] = lambda: None
) -> list[Any]:
    """What is told after each part of a count; `between` is called after the first."""
    parts = [sum_usage_inputs(app, pairs, seconds=0.0, actor=ACTOR)]
    between()
    while (after := parts[-1]["next_after"]) is not None:
        parts.append(sum_usage_inputs(app, pairs, after=after, seconds=0.0, actor=ACTOR))
    return parts


@pytest.fixture
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of two inputs, or of those of one asset."""
    monkeypatch.setattr(selections, "STRETCH", 2)
    monkeypatch.setattr(input_filter, "ASSETS_AT_A_TIME", 1)


@pytest.mark.on_both
def test_what_is_summed_up_in_parts_equals_what_is_summed_up_at_once(
    app: Application, write: Write, few_at_a_time: None
) -> None:
    ids = make_inputs(app, write, 12)
    run(app, "usage-rating", {"usage_input_ids": ids[:5]})
    run(app, "draft-usage-rating", {"usage_input_ids": ids[5:9]})
    for place, day in enumerate((3, 3, 3, 3, 7, 9)):
        edit_usage_input(app, ids[6 + place], usage_date=f"2023-06-{day:02}", actor=ACTOR)
    for pairs, least in (
        ([], 6),
        ([("status", "Rated")], 3),
        ([("status", "Loaded")], 2),
        ([("status", "Error")], 1),
        ([("code", "no_price")], 1),
        ([("asset_line_item_id", "AL-0")], 2),
        ([("customer_id", "CU-1"), ("customer_id", "CU-2")], 3),
        ([("customer_id", "CU-1"), ("status", "Rated")], 1),
        ([("from", "2023-06-03")], 5),
        ([("from", "2023-06-03"), ("before", "2023-06-06"), ("status", "Rated")], 4),
        ([("from", "2024-06-03")], 1),
    ):
        parts, whole = summed(app, pairs), select_usage_inputs(app, pairs, actor=ACTOR)
        assert (parts[-1]["count"], parts[-1]["sums"]) == (whole["count"], whole["sums"]), pairs
        assert len(parts) >= least, pairs
        shares = [one["share"] for one in parts]
        assert shares == sorted(shares), pairs
        assert shares[-1] == 1, pairs
        assert sum_usage_inputs(app, pairs, seconds=60, actor=ACTOR)["count"] == whole["count"], pairs


@pytest.mark.on_both
def test_a_count_goes_on_while_inputs_come_and_go_and_says_from_when_to_when(
    app: Application, write: Write, few_at_a_time: None, clock: FakeClock
) -> None:
    ids = make_inputs(app, write, 6)

    def between() -> None:
        clock.sleep(8)
        delete_usage_inputs(app, ids=ids[-2:], actor=ACTOR)

    parts = summed(app, [], between)
    assert [one["count"] for one in parts] == [2, 4, 4]
    assert (parts[-1]["began"], parts[-1]["ended"]) == (
        "2023-07-01T08:30:00.000Z",
        "2023-07-01T08:30:08.000Z",
    )


def test_a_count_goes_on_after_its_own_cursor_alone(
    app: Application, write: Write, few_at_a_time: None
) -> None:
    make_inputs(app, write, 6)
    cursor = summed(app, [])[0]["next_after"]
    listed = usage_inputs_page(app, limit=1, actor=ACTOR).next
    for after, pairs in (
        (cursor, [("status", "Loaded")]),
        (cursor[:-4] + "AAAA", []),
        (listed, []),
        ("x", []),
    ):
        with pytest.raises(Refused, match="cannot go on after that cursor") as refused:
            sum_usage_inputs(app, pairs, after=after, actor=ACTOR)
        assert refused.value.field == "sums_after"


@pytest.mark.on_both
def test_a_run_does_what_was_selected_and_nothing_that_came_or_changed_since(
    app: Application, write: Write
) -> None:
    number, changed, arrived = depth((124, 50, 2), (12_431, 500, 200))
    ids = make_inputs(app, write, number)
    selection = chosen(app, ("status", "Loaded"))
    assert selection["count"] == number
    run(app, "usage-rating", {"usage_input_ids": ids[:changed]})
    for place in range(arrived):
        add_usage_input(
            app,
            asset_line_item_id=f"AL-{place % 3}",
            usage_date="2023-06-05",
            quantity="10",
            product_uom="Each",
            usage_input_id=f"LATER-{place}",
            actor=ACTOR,
        )
    rated = run_selected(app, "usage-rating", selection)
    counts = {name: rated[name] for name in ("total", "processed", "skipped", "errored")}
    assert counts == {"total": number, "processed": number - changed, "skipped": changed, "errored": 0}
    codes = {row["code"] for row in run_outcomes(app, rated["run_id"], "skipped")}
    assert codes == {"not_eligible"}
    untouched = list(list_usage_inputs(app, status="Loaded"))
    assert [row["usage_input_id"] for row in untouched] == [f"LATER-{place}" for place in range(arrived)]
    assert rated["totals"] == {"rated_amount": {"USD": f"{20 * (number - changed)}.00"}}


def test_what_the_job_would_take_is_skipped_where_its_status_is_another_than_when_selected(
    app: Application, write: Write
) -> None:
    make_inputs(app, write, 4)
    write(lambda books: books.usage_input(1, "BAD", **BY_DRAFT))
    write(lambda books: books.usage_input(1, "MENDED", **BY_DRAFT))
    selection = chosen(app, ("status", "Error"))
    reset_usage_inputs(app, ids=["MENDED"], actor=ACTOR)
    drafted = run_selected(app, "draft-usage-rating", selection, mode="sync")
    outcomes = {row["record_id"]: (row["outcome"], row["message"]) for row in drafted["outcomes"]}
    assert outcomes == {
        "BAD": ("ok", None),
        "MENDED": ("skipped", "it was Error when it was selected, and is Loaded now"),
    }


@pytest.mark.on_both
def test_an_asset_is_partial_where_a_forecast_would_take_more_of_it(app: Application, write: Write) -> None:
    make_inputs(app, write, 6)
    write(lambda books: books.usage_input(1, "RATED-1", status="Rated", usage_date=date(2023, 6, 6)))
    write(lambda books: books.usage_input(2, "BAD", usage_date=date(2023, 6, 6), **BY_DRAFT))
    selection = chosen(app, ("before", "2023-06-06"))
    assert (selection["assets"], selection["partial_assets"]) == (3, 1)
    drafted = run_selected(app, "draft-usage-rating", selection)
    assert [warning["record_id"] for warning in drafted["warnings"]] == ["AL-1"]


def test_a_selection_is_taken_by_a_dry_run_and_by_unrating(app: Application, write: Write) -> None:
    make_inputs(app, write, 6)
    everything = chosen(app)
    dry = run_selected(app, "usage-rating", everything, mode="dry_run")
    assert (dry["total"], dry["parameters"]["selection_id"]) == (6, everything["selection_id"])
    run_selected(app, "usage-rating", everything)
    unrated = run_selected(app, "usage-unrating", chosen(app, ("customer_id", "CU-1")))
    assert (unrated["total"], unrated["processed"]) == (2, 2)


def test_who_made_a_selection_alone_may_use_it_and_for_an_hour(
    app: Application, write: Write, clock: FakeClock
) -> None:
    make_inputs(app, write, 2)
    parameters = {"selection_id": chosen(app)["selection_id"]}
    somebody = Actor("somebody else", ACTOR.os_user)
    for job in ("draft-usage-rating", "usage-rating", "usage-unrating"):
        for actor, given in ((somebody, parameters), (ACTOR, {"selection_id": "SEL-none"})):
            with pytest.raises(Refused, match="there is no selection") as refused:
                submit_run(app, job, given, actor=actor)
            assert refused.value.field == "selection_id"
    clock.sleep(3599)
    submit_run(app, "usage-rating", parameters, actor=ACTOR)
    clock.sleep(1)
    with pytest.raises(Refused, match="it has expired"):
        submit_run(app, "usage-rating", parameters, actor=ACTOR)


def test_a_selection_is_kept_for_the_run_that_waits_with_it_and_then_forgotten(
    app: Application, write: Write, clock: FakeClock
) -> None:
    make_inputs(app, write, 2)
    parameters = {"selection_id": chosen(app)["selection_id"]}
    chosen(app, ("status", "Loaded"))
    waiting = submit_run(app, "usage-rating", parameters, actor=ACTOR, mail_actor=False)
    clock.sleep(7200)
    prune_selections(app)
    assert stored(app) == 2
    clock.sleep(1)
    prune_selections(app)
    assert stored(app) == 1
    assert drive_submitted(app, waiting)["processed"] == 2
    prune_selections(app)
    assert stored(app) == 0


def stored(app: Application) -> int:
    with app.database.read() as connection:
        return connection.execute(select(func.count()).select_from(input_selection)).scalar_one()


def test_a_selection_has_no_place_in_a_schedule(app: Application, write: Write) -> None:
    make_inputs(app, write, 1)
    parameters = {"selection_id": chosen(app)["selection_id"]}
    request = ScheduleRequest(name="nightly", cron="0 0 0 ? * *", job="usage-rating", parameters=parameters)
    with pytest.raises(Refused, match="good for an hour") as refused:
        add_schedule(app, request, actor=ACTOR)
    assert refused.value.field == "selection_id"


@pytest.mark.on_both
def test_a_reset_and_a_deletion_leave_what_changed_since(app: Application, write: Write) -> None:
    ids = make_inputs(app, write, 3)
    write(lambda books: books.usage_input(1, "BAD", **BY_DRAFT))
    write(lambda books: books.usage_input(1, "MENDED", **BY_DRAFT))
    errors, loaded = chosen(app, ("code", "no_price")), chosen(app, ("status", "Loaded"))
    reset_usage_inputs(app, ids=["MENDED"], actor=ACTOR)
    assert outcomes(act(app, "usage-input-reset", errors)) == {"BAD": "ok", "MENDED": "skipped"}
    assert show_usage_input(app, "BAD")["code"] is None
    run(app, "usage-rating", {"usage_input_ids": ids[:1]})
    deleted = outcomes(act(app, "usage-input-deletion", loaded))
    assert deleted == {ids[0]: "skipped", ids[1]: "ok", ids[2]: "ok"}
    left = [row["usage_input_id"] for row in list_usage_inputs(app)]
    assert left == [ids[0], "BAD", "MENDED"]
    again = act(app, "usage-input-deletion", loaded)
    assert {row["code"] for row in again["outcomes"]} == {"not_eligible", "not_found"}


def act(app: Application, job: str, selection: dict[str, Any]) -> dict[str, Any]:
    return drive_submitted(app, submit_on_selection(app, job, selection["selection_id"], actor=ACTOR))


def outcomes(run: dict[str, Any]) -> dict[str, str]:
    assert run["mode"] == "sync"
    return {row["record_id"]: row["outcome"] for row in run["outcomes"]}


def test_a_reset_of_more_than_a_thousand_is_a_run_in_batch_mode(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_inputs(app, write, 3)
    monkeypatch.setattr(selections, "SYNC_LIMIT", 2)
    reset = act(app, "usage-input-reset", chosen(app))
    assert (reset["mode"], reset["total"], reset["skipped"]) == ("batch", 3, 3)


def test_a_dry_run_of_a_deletion_shows_each_line_and_deletes_nothing(app: Application, write: Write) -> None:
    make_inputs(app, write, 2)
    dry = run_selected(app, "usage-input-deletion", chosen(app), mode="dry_run")
    lines = list(run_preview(app, dry["run_id"]))
    assert [(line["record_id"], line["detail"]) for line in lines] == [
        (an_id, {"status": "Loaded", "deleted_after": True}) for an_id in ("MINE-0", "MINE-1")
    ]
    assert len(list(list_usage_inputs(app))) == 2


@pytest.mark.parametrize("job", ["usage-input-reset", "usage-input-deletion"])
def test_a_reset_or_deletion_of_everything_is_refused(app: Application, job: str) -> None:
    with pytest.raises(Refused, match="no usage inputs were named"):
        submit_run(app, job, {}, actor=ACTOR)


def test_ids_beside_a_selection_are_refused(app: Application, write: Write) -> None:
    ids = make_inputs(app, write, 2)
    both = {"selection_id": chosen(app)["selection_id"], "usage_input_ids": ids}
    with pytest.raises(Refused, match="give no ids beside it"):
        submit_run(app, "usage-rating", both, actor=ACTOR)


def test_more_than_a_million_are_refused_and_nothing_is_stored(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_inputs(app, write, 4)
    monkeypatch.setattr(selections, "MOST", 3)
    with pytest.raises(Refused, match="more than 3 usage inputs match") as refused:
        chosen(app)
    assert refused.value.field == "filter"
    assert chosen(app, ("asset_line_item_id", "AL-0"))["count"] == 2


def test_a_selection_of_nothing_is_a_run_of_nothing(app: Application, write: Write) -> None:
    ids = make_inputs(app, write, 2)
    rated = run_selected(app, "usage-rating", chosen(app, ("status", "Error")))
    assert (rated["total"], rated["status"]) == (0, "Completed")
    assert show_usage_input(app, ids[0])["status"] == "Loaded"
