"""Restating: what came after an input that is taken back starts where it would without it, and costs that."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from email import message_from_bytes
from email.policy import default

import pytest

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.explanations import explain_usage_input
from batchwright.operations.billing.usage_inputs import (
    delete_usage_inputs,
    edit_usage_input,
    reset_usage_inputs,
)
from batchwright.operations.mail import list_mail
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import run_outcomes, show_run
from batchwright.operations.runs.previews import apply_run
from batchwright.operations.views import View
from tests.jobs.company import CHEAPER, Company, Tier, indexed
from tests.jobs.conftest import Write
from tests.jobs.drafting import billing_rows, outcomes
from tests.jobs.rating import (
    assert_books_balance,
    fees,
    figures,
    invoice,
    previewed,
    rate,
    rated,
    stored,
    unrate,
)
from tests.jobs.recalculating import Contracted, recalculate
from tests.support.application import ACTOR


def more(app: Application, *names: str) -> None:
    """80 each on a later day."""
    with app.database.write() as connection:
        books = Contracted(connection)
        for name in names:
            books.used(books.key_of(tables.asset_line_item, "AL-1"), name, "06-20", "80")


def take_back(app: Application, *names: str) -> View:
    run = unrate(app, {"usage_input_ids": list(names)})
    assert_books_balance(app)
    return show_run(app, run["run_id"])


def again(app: Application, name: str, quantity: str) -> None:
    """Rate an input that was unrated with another quantity."""
    reset_usage_inputs(app, ids=[name], actor=ACTOR)
    edit_usage_input(app, name, quantity=quantity, actor=ACTOR)
    rate(app, {"usage_input_ids": [name]})


def in_parts(app: Application, *names: str) -> None:
    for name in names:
        rate(app, {"usage_input_ids": [name]})


@pytest.mark.on_both
def test_a_window_costs_what_its_inputs_cost_after_one_was_taken_back_and_corrected(
    app: Application, write: Write
) -> None:
    write(indexed)
    rate(app)
    assert rated(app) == {"first": "80.00", "second": "50.00"}
    run = take_back(app, "first")
    assert (run["total"], run["processed"]) == (1, 1)
    assert run["totals"] == {"unrated_amount": {"USD": "80.00"}, "restated_amount": {"USD": "30.00"}}
    assert run["restated"] == [
        {"record_id": "second", "before": "50.00", "after": "80.00", "currency": "USD"}
    ]
    assert [row["record_id"] for row in run_outcomes(app, run["run_id"])] == ["first"]
    assert (rated(app)["second"], figures(app)) == ("80.00", {"US-AL-1-06": ("80.00", "80.00")})
    again(app, "first", "30")
    assert rated(app) == {"first": "25.00", "second": "80.00"}  # 105.00: 100 at 1, 10 at 0.5
    assert_books_balance(app)


def test_included_units_that_are_given_back_go_to_the_next(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        books.priced("data", unit_price="2", included_quantity="50")
        asset = books.metered()
        books.used(asset, "first", "06-05", "50")
        books.used(asset, "second", "06-10", "50")

    write(fill)
    rate(app)
    assert rated(app) == {"first": "0.00", "second": "100.00"}
    run = take_back(app, "first")
    assert run["totals"] == {"unrated_amount": {"USD": "0.00"}, "restated_amount": {"USD": "-100.00"}}
    delete_usage_inputs(app, ["first"], actor=ACTOR)
    assert rated(app) == {"second": "0.00"}
    assert figures(app) == {"US-AL-1-06": ("50.00", "0.00")}


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("one", {"two": "80.00", "three": "50.00", "four": "40.00"}),
        ("two", {"one": "80.00", "three": "50.00", "four": "40.00"}),
        ("one two", {"three": "80.00", "four": "50.00"}),
        ("one three", {"two": "80.00", "four": "50.00"}),
        ("four", {"one": "80.00", "two": "50.00", "three": "40.00"}),
        ("one two three", {"four": "80.00"}),
    ],
)
@pytest.mark.parametrize("order", ["one two three four", "four two three one"])
def test_only_later_ones_are_restated_in_the_order_in_which_they_were_rated(
    app: Application, write: Write, taken: str, left: dict[str, str], order: str
) -> None:
    """Rated one by one against the usage dates, the order of rating decides."""
    days = dict(zip(order.split(), ("06-04", "06-07", "06-12", "06-20"), strict=True))

    def fill(books: Company) -> None:
        books.priced("data", "tiered", tiers=CHEAPER, usage_indexing=True)
        asset = books.metered()
        for name in order.split():
            books.used(asset, name, days[name], "80")

    write(fill)
    in_parts(app, "one", "two", "three", "four")
    before = rated(app)
    assert before == {"one": "80.00", "two": "50.00", "three": "40.00", "four": "40.00"}
    run = take_back(app, *taken.split())
    assert {name: amount for name, amount in rated(app).items() if amount} == left
    changed = {name: (before[name], amount) for name, amount in left.items() if amount != before[name]}
    assert {line["record_id"]: (line["before"], line["after"]) for line in run["restated"]} == changed


@pytest.mark.parametrize("quantity", ["5", "0"])
def test_a_fee_of_a_window_whose_payer_is_taken_back_falls_to_the_next(
    app: Application, write: Write, quantity: str
) -> None:
    def fill(books: Company) -> None:
        books.priced("data", "flat", flat_fee="99", usage_indexing=True)
        asset = books.metered()
        for name, day in (("payer", "06-05"), ("next", "06-06"), ("last", "06-07")):
            books.used(asset, name, day, quantity)

    write(fill)
    rate(app)
    assert rated(app) == {"payer": "99.00", "next": "0.00", "last": "0.00"}
    take_back(app, "payer")
    assert rated(app) == {"payer": None, "next": "99.00", "last": "0.00"}
    again(app, "payer", quantity)
    assert rated(app) == {"payer": "0.00", "next": "99.00", "last": "0.00"}
    take_back(app, "next", "last")
    assert rated(app)["payer"] == "99.00"


def test_inputs_of_another_price_asset_or_window_stay_as_they_are(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        for start, number in ((date(2000, 1, 1), "1"), (date(2023, 6, 16), "2")):
            tiers: tuple[Tier, ...] = (("100", number, None), (None, "0.5", None))
            books.priced("data", "tiered", tiers=tiers, usage_indexing=True, effective_from=start)
        books.priced("plans", "tiered", tiers=CHEAPER, usage_indexing=True)
        asset = books.metered(months=6, months_per_schedule=3)
        for name, day in (("april", "04-05"), ("may", "05-05"), ("june", "06-20"), ("march", "03-05")):
            books.used(asset, name, day, "80")
        other = books.metered("AL-2", "plans")
        for name, day in (("other", "06-05"), ("later", "06-10")):
            books.used(other, name, day, "80")

    write(fill)
    rate(app)
    run = take_back(app, "april")
    assert [line["record_id"] for line in run["restated"]] == ["may"]
    assert rated(app) == {
        "april": None,
        "may": "80.00",
        "june": "160.00",
        "march": "80.00",
        "other": "80.00",
        "later": "50.00",
    }
    assert take_back(app, "june", "other")["restated"] == [
        {"record_id": "later", "before": "50.00", "after": "80.00", "currency": "USD"}
    ]


def test_an_input_is_restated_by_the_revision_and_the_discount_that_it_was_rated_with(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "tiered", tiers=CHEAPER, usage_indexing=True)
        asset = books.of_account()
        for name, day in (("first", "06-05"), ("second", "06-10"), ("third", "06-15")):
            books.used(asset, name, day, "80")

    with app.database.write() as connection:
        fill(Contracted(connection))
    in_parts(app, "first", "second")
    cheaper: tuple[Tier, ...] = (("100", "0.1", None), (None, "0.01", None))
    write(lambda books: books.priced("data", "tiered", tiers=cheaper, usage_indexing=True, revision=2))
    in_parts(app, "third")
    assert rated(app) == {"first": "80.00", "second": "50.00", "third": "0.80"}
    before = {name: stored(app, name) for name in ("second", "third")}
    take_back(app, "first")
    assert rated(app) == {"first": None, "second": "80.00", "third": "2.60"}  # 20 at 0.1, 60 at 0.01
    moved = ("rated_amount", "rated_prior_quantity")
    for name, row in before.items():
        assert {**stored(app, name), **{one: row[one] for one in moved}} == row


def test_a_later_input_that_could_not_be_priced_hinders_the_taking_back(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        books.priced("data", "discrete", tiers=(("20", "1", None), ("25", "1", None)), included_quantity="50")
        asset = books.metered()
        for name, day, quantity in (
            ("first", "06-05", "30"),
            ("second", "06-06", "40"),
            ("third", "06-07", "25"),
        ):
            books.used(asset, name, day, quantity)

    write(fill)
    rate(app)
    assert rated(app) == {"first": "0.00", "second": "20.00", "third": "25.00"}
    before = billing_rows(app)
    run = take_back(app, "first")  # the second would be free then, and the third left with 15 to pay
    assert outcomes(app, run) == {"first": ("error", "no_tier")}
    said = "third, which came after it in its window, could not be priced then: quantity 15"
    assert said in str(next(run_outcomes(app, run["run_id"]))["message"])
    assert (billing_rows(app), run["totals"], run["restated"]) == (before, {}, [])
    take_back(app, "first", "third")
    assert rated(app) == {"first": None, "second": "0.00", "third": None}


def test_late_usage_is_restated_and_usage_before_it_stays_invoiced(app: Application, write: Write) -> None:
    write(indexed)
    rate(app, {"usage_input_ids": ["first"]})
    invoice(app, "BS-AL-1-06")
    more(app, "third")
    rate(app)
    assert rated(app) == {"first": "80.00", "second": "50.00", "third": "40.00"}
    run = unrate(app, {"usage_input_ids": ["first", "second"]})
    assert outcomes(app, run) == {"first": ("skipped", "invoiced"), "second": ("ok", None)}
    assert rated(app) == {"first": "80.00", "second": None, "third": "50.00"}
    assert_books_balance(app)


@pytest.mark.on_both
def test_what_is_invoiced_stays_and_the_difference_is_told(app: Application, write: Write) -> None:
    """The invoice of the month was cancelled, and that of its late usage was not."""
    write(indexed)
    rate(app, {"usage_input_ids": ["first"]})
    invoice(app, "BS-AL-1-06")
    rate(app)
    late = stored(app, "second")
    (schedule,) = fees(app).keys() - {"BS-AL-1-06"}
    invoice(app, schedule)
    invoice(app, "BS-AL-1-06", status="pending_billing")
    more(app, "third", "fourth")
    rate(app)
    assert rated(app) == {"first": "80.00", "second": "50.00", "third": "40.00", "fourth": "40.00"}
    run = take_back(app, "first")
    assert stored(app, "second") == late
    assert rated(app) == {"first": None, "second": "50.00", "third": "50.00", "fourth": "40.00"}
    assert [(one["code"], one["record_id"]) for one in run["warnings"]] == [("invoiced", schedule)]
    message = "stays at 50.00 USD, and would be 80.00 (difference +30.00)"
    assert message in run["warnings"][0]["message"]
    again(app, "first", "30")
    run = take_back(app, "third")  # it comes after what is invoiced, whatever that says
    assert (run["warnings"], rated(app)["first"], rated(app)["fourth"]) == ([], "15.00", "50.00")


def test_a_recalculation_of_a_restated_window_changes_nothing(app: Application, write: Write) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "tiered", tiers=CHEAPER, usage_indexing=True, included_quantity="10")
        asset = books.of_account()
        for number in range(1, 7):
            books.used(asset, f"IN-{number}", f"06-{number:02}", "37.5")

    with app.database.write() as connection:
        fill(Contracted(connection))
    rate(app)
    take_back(app, "IN-2", "IN-4")
    before = billing_rows(app)
    assert recalculate(app)["totals"]["difference"] == {"USD": "0.00"}
    assert billing_rows(app) == before


def test_a_dry_run_foretells_what_is_restated_and_is_applied_as_shown(app: Application, write: Write) -> None:
    write(indexed)
    rate(app)
    before = billing_rows(app)
    dry = unrate(app, {"usage_input_ids": ["first"]}, mode="dry_run")
    assert billing_rows(app) == before
    assert dry["totals"] == {"unrated_amount": {"USD": "80.00"}, "restated_amount": {"USD": "30.00"}}
    lines = previewed(app, dry, "usage_input")
    found = {name: (line["before"], line["after"], line["amount"]) for name, line in lines.items()}
    assert found == {"first": ("80.00", None, "80.00"), "second": ("50.00", "80.00", "30.00")}
    detail = lines["second"]["detail"]
    assert (detail["prior_quantity_before"], detail["prior_quantity"]) == ("80.00", "0.00")
    assert sum(Decimal(one["amount"]) for one in detail["lines"]) == 80
    assert previewed(app, dry, "usage_schedule")["US-AL-1-06"]["difference"] == "-50.00"
    run = drive_submitted(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False))
    assert (run["status"], run["totals"]) == ("Completed", dry["totals"])
    assert rated(app) == {"first": None, "second": "80.00"}


def test_the_mail_and_the_history_tell_each_restated_input_with_its_amounts(
    app: Application, write: Write
) -> None:
    write(indexed)
    more(app, "third")
    rate(app)
    run = unrate(app, {"usage_input_ids": ["first"]}, notify=["eve@example.com"])
    (mail,) = (one for one in list_mail(app) if one["run_id"] == run["run_id"])
    file = app.settings.mail.directory / f"{mail['mail_id']}.eml"
    message = message_from_bytes(file.read_bytes(), policy=default)
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        assert body is not None
        text = body.get_content()
        assert text.index("Restated") < text.index("second") < text.index("third")
        assert "start earlier in their window" in " ".join(text.split())
    shown = explain_usage_input(app, "second")
    last = shown["history"][-1]
    assert [one["outcome"] for one in shown["history"]] == ["ok", "restated"]
    assert (last["run_id"], last["before"], last["after"]) == (run["run_id"], "50.00", "80.00")
    assert (last["amount"], last["currency"]) == ("80.00", "USD")
    rests_on = shown["explanation"]["rated"]
    assert (rests_on["amount"], rests_on["prior_quantity"], rests_on["first_in_window"]) == (
        *("80.00", "0.00"),
        True,
    )
