"""What people do to usage inputs, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select, update

from batchwright.billing.records import assets
from batchwright.billing.tables import usage_input
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import (
    add_usage_input,
    delete_usage_inputs,
    edit_usage_input,
    list_usage_inputs,
    reset_usage_inputs,
    show_usage_input,
)
from tests.support.application import ACTOR
from tests.support.concurrency import race, wait_until_blocked
from tests.support.records import Books

Entries = Callable[[], list[dict[str, Any]]]
Write = Callable[[Callable[[Books], Any]], Any]

DRAFTED = {
    "draft_rated_amount": 2000,
    "draft_run_key": 1,
    "draft_price_key": 2,
    "draft_contract_key": 3,
    "draft_discount_percent": Decimal(10),
    "draft_prior_quantity": Decimal(5),
}
BY_DRAFT = {"status": "Error", "error_by": "draft", "code": "no_price", "message": "no price for data"}
BY_RATING = {**BY_DRAFT, "error_by": "rating"}
UNRATED = {"status": "Error", "error_by": "unrating", "code": "unrated", "message": "unrated"}
RATED = {"status": "Rated", "rated_amount": 2000}


@pytest.fixture
def inputs(write: Write) -> None:
    """One asset with an input of every kind."""

    def fill(books: Books) -> None:
        asset = books.asset()
        books.usage_input(asset, "IN-loaded", **DRAFTED)
        books.usage_input(asset, "IN-rated", **RATED)
        books.usage_input(asset, "IN-draft-error", **BY_DRAFT)
        books.usage_input(asset, "IN-rating-error", **BY_RATING)
        books.usage_input(asset, "IN-unrated", **UNRATED)
        books.usage_input(asset, "IN-deleted", deleted=True)

    write(fill)


def stored(app: Application, an_id: str) -> Any:
    with app.database.read() as connection:
        statement = select(usage_input).where(usage_input.c.usage_input_id == an_id)
        return connection.execute(statement).mappings().one()


# Looking


@pytest.mark.usefixtures("inputs")
def test_a_usage_input_is_shown_with_the_keys_of_the_contract_in_their_order(app: Application) -> None:
    assert list(show_usage_input(app, "IN-loaded").items()) == [
        ("usage_input_id", "IN-loaded"),
        ("asset_line_item_id", "AL-1"),
        ("asset_number", "number of AL-1"),
        ("status", "Loaded"),
        ("code", None),
        ("message", None),
        ("quantity", "10.00"),
        ("usage_date", "2023-06-05"),
        ("product_uom", "Each"),
        ("description", None),
        ("currency", "USD"),
        ("rated_amount", None),
        ("draft_rated_amount", "20.00"),
    ]


def test_amounts_have_the_digits_of_their_currency(app: Application, write: Write) -> None:
    def fill(books: Books) -> None:
        for currency in ("JPY", "BHD"):
            asset = books.asset(f"AL-{currency}", currency=currency)
            books.usage_input(asset, f"IN-{currency}", draft_rated_amount=1234567)

    write(fill)
    shown = {row["currency"]: row["draft_rated_amount"] for row in list_usage_inputs(app)}
    assert shown == {"JPY": "1234567", "BHD": "1234.567"}


@pytest.mark.usefixtures("inputs")
def test_a_list_leaves_deleted_inputs_out_and_keeps_the_order_of_arrival(app: Application) -> None:
    ids = [row["usage_input_id"] for row in list_usage_inputs(app)]
    assert ids == ["IN-loaded", "IN-rated", "IN-draft-error", "IN-rating-error", "IN-unrated"]


@pytest.mark.usefixtures("inputs")
def test_a_list_can_be_narrowed_by_status_asset_and_number(app: Application, write: Write) -> None:
    write(lambda books: books.usage_input(books.asset("AL-2"), "IN-other"))
    assert [row["usage_input_id"] for row in list_usage_inputs(app, status="Rated")] == ["IN-rated"]
    assert [row["usage_input_id"] for row in list_usage_inputs(app, "AL-2")] == ["IN-other"]
    assert [row["usage_input_id"] for row in list_usage_inputs(app, limit=1)] == ["IN-loaded"]


def test_a_list_of_an_unknown_asset_status_or_length_is_refused_before_its_first_line(
    app: Application,
) -> None:
    with pytest.raises(Refused, match="unknown asset line item: AL-9"):
        list_usage_inputs(app, "AL-9")
    with pytest.raises(Refused, match="status 'loaded' is not known") as refusal:
        list_usage_inputs(app, status="loaded")
    assert refusal.value.remedy == "Use one of Loaded, Rated, Error"
    with pytest.raises(Refused, match="the limit 0 is below 1"):
        list_usage_inputs(app, limit=0)


@pytest.mark.usefixtures("inputs")
def test_a_deleted_input_is_refused_as_gone_and_an_unknown_one_as_unknown(app: Application) -> None:
    with pytest.raises(Refused, match="deleted: IN-deleted"):
        show_usage_input(app, "IN-deleted")
    with pytest.raises(Refused, match="unknown usage input: IN-9"):
        show_usage_input(app, "IN-9")


# Adding


def add(app: Application, **values: Any) -> dict[str, Any]:
    given = {
        "asset_line_item_id": "AL-1",
        "usage_date": "2023-06-05",
        "quantity": "20",
        "product_uom": "Each",
    }
    return add_usage_input(app, actor=ACTOR, **{**given, **values})


def test_an_added_input_is_loaded_and_leaves_one_audit_entry(
    app: Application, write: Write, entries: Entries
) -> None:
    write(lambda books: books.asset())
    added = add(app, description="June", usage_input_id="IN-mine", reason="forgotten")
    assert added == show_usage_input(app, "IN-mine")
    assert (added["status"], added["quantity"], added["description"]) == ("Loaded", "20.00", "June")
    (entry,) = entries()
    assert entry == {
        "entry_id": 1,
        "at": "2023-07-01T08:30:00.000Z",
        "actor": "dana@example.com",
        "os_user": ACTOR.os_user,
        "door": "python",
        "credential": None,
        "address": None,
        "act": "usage_input.add",
        "subject": "IN-mine",
        "reason": "forgotten",
        "before": None,
        "after": added,
    }


def test_an_input_without_an_id_gets_the_next_free_number(app: Application, write: Write) -> None:
    write(lambda books: books.usage_input(books.asset(), "IN-00000002"))
    assert [add(app)["usage_input_id"] for _ in range(2)] == ["IN-00000001", "IN-00000003"]


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize("taken", ["IN-loaded", "IN-deleted"])
def test_a_taken_id_is_refused_even_that_of_a_deleted_input(
    app: Application, entries: Entries, taken: str
) -> None:
    with pytest.raises(Refused, match="is taken") as refusal:
        add(app, usage_input_id=taken)
    assert refusal.value.field == "usage_input_id"
    assert entries() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("asset_line_item_id", "AL-9"),
        ("usage_date", "2023-06-31"),
        ("usage_date", "5/6/2023"),
        ("quantity", "1,000"),
        ("quantity", "NaN"),
        ("quantity", "1e400"),
        ("quantity", "1" * 30),
        ("quantity", ""),
        ("product_uom", ""),
        ("product_uom", "x" * 65),
        ("usage_input_id", "x" * 65),
        ("usage_input_id", "a\nb"),
        ("usage_input_id", "=cmd()"),
        ("description", "two\nlines"),
    ],
)
def test_a_bad_value_is_refused_by_its_field_with_a_remedy(
    app: Application, write: Write, entries: Entries, field: str, value: str
) -> None:
    write(lambda books: books.asset())
    with pytest.raises(Refused) as refusal:
        add(app, **{field: value})
    assert refusal.value.field == field
    assert refusal.value.remedy
    assert list(list_usage_inputs(app)) == []
    assert entries() == []


# Editing


@pytest.mark.usefixtures("inputs")
def test_an_edit_of_quantity_or_date_blanks_the_draft_amount_and_its_basis(
    app: Application, entries: Entries
) -> None:
    edited = edit_usage_input(app, "IN-loaded", quantity="12.50", actor=ACTOR)
    assert (edited["quantity"], edited["draft_rated_amount"]) == ("12.50", None)
    row = stored(app, "IN-loaded")
    assert all(row[name] is None for name in DRAFTED)
    (entry,) = entries()
    assert (entry["act"], entry["subject"]) == ("usage_input.edit", "IN-loaded")
    assert (entry["before"]["quantity"], entry["after"]["quantity"]) == ("10.00", "12.50")


@pytest.mark.usefixtures("inputs")
def test_an_edit_that_leaves_quantity_and_date_as_they_are_keeps_the_draft(app: Application) -> None:
    edited = edit_usage_input(
        app, "IN-loaded", quantity="10.0", usage_date="2023-06-05", description="checked", actor=ACTOR
    )
    assert (edited["description"], edited["draft_rated_amount"]) == ("checked", "20.00")
    assert stored(app, "IN-loaded")["draft_prior_quantity"] == Decimal(5)


@pytest.mark.usefixtures("inputs")
def test_an_edit_moves_the_date_and_can_take_the_description_away(app: Application) -> None:
    edit_usage_input(app, "IN-loaded", usage_date="2023-07-08", description="July", actor=ACTOR)
    assert edit_usage_input(app, "IN-loaded", description="", actor=ACTOR)["description"] is None
    assert stored(app, "IN-loaded")["usage_date"] == date(2023, 7, 8)


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize("an_id", ["IN-draft-error", "IN-rating-error"])
def test_an_edit_of_what_a_job_put_in_error_makes_it_loaded_without_its_message(
    app: Application, an_id: str
) -> None:
    edited = edit_usage_input(app, an_id, description="looked at", actor=ACTOR)
    assert (edited["status"], edited["code"], edited["message"]) == ("Loaded", None, None)
    assert stored(app, an_id)["error_by"] is None


@pytest.mark.usefixtures("inputs")
def test_an_edit_of_what_was_unrated_leaves_it_in_error(app: Application) -> None:
    edited = edit_usage_input(app, "IN-unrated", quantity="1", actor=ACTOR)
    assert (edited["status"], edited["code"]) == ("Error", "unrated")


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize(
    ("an_id", "values", "message"),
    [
        ("IN-rated", {"quantity": "1"}, "rated, and so not to be edited: IN-rated"),
        ("IN-deleted", {"quantity": "1"}, "deleted: IN-deleted"),
        ("IN-9", {"quantity": "1"}, "unknown usage input: IN-9"),
        ("IN-loaded", {"quantity": "1e5"}, "is not a plain decimal number"),
        ("IN-loaded", {"usage_date": "2023-02-29"}, "not a day of the calendar"),
        ("IN-loaded", {}, "nothing to change"),
    ],
)
def test_a_refused_edit_changes_nothing_and_leaves_no_entry(
    app: Application, entries: Entries, an_id: str, values: dict[str, str], message: str
) -> None:
    before = list(list_usage_inputs(app))
    with pytest.raises(Refused, match=message):
        edit_usage_input(app, an_id, **values, actor=ACTOR)
    assert list(list_usage_inputs(app)) == before
    assert entries() == []


# Deleting


@pytest.mark.usefixtures("inputs")
def test_deleted_inputs_are_gone_from_the_list_with_one_entry_for_all(
    app: Application, entries: Entries
) -> None:
    assert delete_usage_inputs(app, ["IN-unrated", "IN-loaded", "IN-unrated"], actor=ACTOR) == [
        "IN-unrated",
        "IN-loaded",
    ]
    assert [row["usage_input_id"] for row in list_usage_inputs(app)] == [
        "IN-rated",
        "IN-draft-error",
        "IN-rating-error",
    ]
    assert stored(app, "IN-loaded")["deleted"]
    (entry,) = entries()
    assert (entry["act"], entry["subject"]) == ("usage_input.delete", "2 usage inputs")
    assert [row["usage_input_id"] for row in entry["before"]] == ["IN-unrated", "IN-loaded"]


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize("bad", ["IN-rated", "IN-deleted", "IN-9"])
def test_one_bad_id_keeps_all_from_being_deleted(app: Application, entries: Entries, bad: str) -> None:
    with pytest.raises(Refused, match=bad):
        delete_usage_inputs(app, ["IN-loaded", bad], actor=ACTOR)
    assert not stored(app, "IN-loaded")["deleted"]
    assert entries() == []


def test_unknown_ids_are_all_counted_and_the_first_twenty_named(app: Application) -> None:
    with pytest.raises(Refused) as refusal:
        delete_usage_inputs(app, [f"IN-{number:02}" for number in range(25)], actor=ACTOR)
    assert "IN-19 … and 5 more (25 in all)" in refusal.value.message
    assert "IN-20" not in refusal.value.message


@pytest.mark.parametrize("text", ["IN\x00", "\udcff", "IN\n1"])
def test_text_that_cannot_be_an_id_is_unknown(app: Application, text: str) -> None:
    with pytest.raises(Refused, match="unknown usage input"):
        delete_usage_inputs(app, [text], actor=ACTOR)


def test_deleting_nothing_is_refused(app: Application) -> None:
    with pytest.raises(Refused, match="no id was given"):
        delete_usage_inputs(app, [], actor=ACTOR)


# Resetting


@pytest.mark.usefixtures("inputs")
def test_a_reset_by_ids_clears_the_errors_and_reports_loaded_ones_as_untouched(
    app: Application, entries: Entries
) -> None:
    done = reset_usage_inputs(app, ids=["IN-unrated", "IN-loaded", "IN-rating-error"], actor=ACTOR)
    assert done == {"reset": ["IN-unrated", "IN-rating-error"], "untouched": ["IN-loaded"]}
    row = stored(app, "IN-unrated")
    assert (row["status"], row["error_by"], row["code"], row["message"]) == ("Loaded", None, None, None)
    assert stored(app, "IN-loaded")["draft_rated_amount"] == 2000
    (entry,) = entries()
    assert (entry["act"], entry["subject"]) == ("usage_input.reset", "2 usage inputs")
    assert entry["before"]["IN-unrated"] == UNRATED


@pytest.mark.usefixtures("inputs")
def test_a_reset_by_status_takes_every_error_or_those_of_a_code_or_an_asset(
    app: Application, write: Write
) -> None:
    write(lambda books: books.usage_input(books.asset("AL-2"), "IN-other", **BY_DRAFT))
    by_asset = reset_usage_inputs(app, status="Error", asset_line_item_id="AL-2", actor=ACTOR)
    by_code = reset_usage_inputs(app, status="Error", code="no_price", actor=ACTOR)
    the_rest = reset_usage_inputs(app, status="Error", actor=ACTOR)
    assert by_asset == {"reset": ["IN-other"], "untouched": []}
    assert by_code == {"reset": ["IN-draft-error", "IN-rating-error"], "untouched": []}
    assert the_rest == {"reset": ["IN-unrated"], "untouched": []}


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"ids": ["IN-unrated", "IN-rated"]}, "rated, and so not to be reset: IN-rated"),
        ({"ids": ["IN-unrated", "IN-9"]}, "unknown usage input: IN-9"),
        ({"ids": ["IN-unrated", "IN-deleted"]}, "deleted: IN-deleted"),
        ({"ids": []}, "no id was given"),
        ({"ids": ["IN-unrated"], "status": "Error"}, "together with a status"),
        ({}, "no usage inputs were named"),
        ({"code": "unrated"}, "no usage inputs were named"),
        ({"status": "Rated"}, "inputs in status 'Rated' cannot be reset"),
        ({"status": "Error", "asset_line_item_id": "AL-9"}, "unknown asset line item: AL-9"),
        ({"status": "Error", "code": "no_pirce"}, "code 'no_pirce' is not known"),
    ],
)
def test_a_refused_reset_changes_nothing_and_leaves_no_entry(
    app: Application, entries: Entries, choice: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        reset_usage_inputs(app, **choice, actor=ACTOR)
    assert stored(app, "IN-unrated")["status"] == "Error"
    assert entries() == []


def test_a_reset_of_more_inputs_than_a_statement_takes_resets_them_all(
    app: Application, write: Write
) -> None:
    def fill(books: Books) -> None:
        asset = books.asset()
        for number in range(2_500):
            books.usage_input(asset, f"IN-{number:04}", **BY_DRAFT)

    write(fill)
    done = reset_usage_inputs(app, status="Error", actor=ACTOR)
    assert done["reset"] == [f"IN-{number:04}" for number in range(2_500)]
    assert list(list_usage_inputs(app, status="Error")) == []


# Two at once


@pytest.mark.usefixtures("inputs")
@pytest.mark.on_both
def test_of_two_deletes_at_once_one_wins_and_the_other_is_refused(app: Application, entries: Entries) -> None:
    results = race(*[lambda: delete_usage_inputs(app, ["IN-loaded"], actor=ACTOR)] * 2)
    assert sorted(isinstance(result, Refused) for result in results) == [False, True]
    assert len(entries()) == 1


@pytest.mark.on_both
def test_of_two_additions_of_one_id_at_once_one_wins(
    app: Application, write: Write, entries: Entries
) -> None:
    write(lambda books: (books.asset("AL-1"), books.asset("AL-2")))
    results = race(
        lambda: add(app, usage_input_id="IN-mine"),
        lambda: add(app, usage_input_id="IN-mine", asset_line_item_id="AL-2"),
    )
    assert sorted(isinstance(result, Refused) for result in results) == [False, True]
    assert len(entries()) == 1


@pytest.mark.usefixtures("inputs")
@pytest.mark.on_both
def test_edits_at_once_follow_each_other_and_each_entry_begins_where_the_other_ended(
    app: Application, entries: Entries
) -> None:
    race(
        lambda: edit_usage_input(app, "IN-loaded", quantity="11", actor=ACTOR),
        lambda: edit_usage_input(app, "IN-loaded", quantity="12", actor=ACTOR),
    )
    second, first = entries()
    assert first["before"]["quantity"] == "10.00"
    assert second["before"]["quantity"] == first["after"]["quantity"]
    assert show_usage_input(app, "IN-loaded")["quantity"] == second["after"]["quantity"]


@pytest.mark.usefixtures("inputs")
@pytest.mark.on_both
def test_an_edit_that_waited_for_a_run_sees_the_input_rated_and_is_refused(app: Application) -> None:
    """A run holds the asset and rates the input; an edit that came meanwhile must not act on what it saw before."""
    results: list[Any] = []

    def edit() -> None:
        results.extend(race(lambda: edit_usage_input(app, "IN-loaded", quantity="11", actor=ACTOR)))

    thread = Thread(target=edit)
    with app.database.write() as connection:
        row = stored(app, "IN-loaded")
        assets.lock(connection, [row["asset_key"]])
        thread.start()
        wait_until_blocked(thread, app.database)
        connection.execute(update(usage_input).where(usage_input.c.id == row["id"]).values(status="Rated"))
    thread.join()
    (refusal,) = results
    assert isinstance(refusal, Refused)
    assert "rated, and so not to be edited" in refusal.message
    assert stored(app, "IN-loaded")["quantity"] == Decimal(10)
