"""The pages of usage inputs: the list view and its selection, one input, and what is done to them."""

from __future__ import annotations

import csv
import html
import re
from typing import Any
from urllib.parse import quote

import pytest
from markupsafe import escape
from sqlalchemy import text
from starlette.testclient import TestClient

from batchwright.console.pages.routes import usage_inputs as routes
from batchwright.console.traffic import PAGE_SECONDS
from batchwright.engine.store.read_limit import READ_SECONDS
from batchwright.operations.app import Application
from batchwright.operations.billing.selections import sum_usage_inputs
from batchwright.operations.billing.usage_inputs import (
    add_usage_input,
    edit_usage_input,
    list_usage_inputs,
    show_usage_input,
)
from batchwright.operations.runs.looking import list_runs, run_outcomes
from tests.console.conftest import Visit
from tests.console.seed_inputs import HOSTILE, JULY, JUNE, words
from tests.support.application import ACTOR

pytestmark = pytest.mark.usefixtures("seed")


def inputs(app: Application) -> dict[str, tuple[Any, ...]]:
    """Status, Rated Amount and (Draft) Rated Amount by input."""
    return {
        one["usage_input_id"]: (one["status"], one["rated_amount"], one["draft_rated_amount"])
        for one in list_usage_inputs(app, actor=ACTOR)
    }


def chosen(web: TestClient, token: str, act: str, **form: Any) -> str:
    """The address of the page that asks before an act on what was selected."""
    form = {"csrf_token": token, "act": act, **form}
    answer = web.post("/usage-inputs/selections", data=form, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def test_the_file_has_what_the_filter_of_the_list_has_and_no_formula(
    app: Application, web: TestClient, visit: Visit
) -> None:
    with app.database.write() as connection:
        connection.execute(text("UPDATE usage_input SET description = '@SUM(A1)', quantity = '-5'"))
    visit("viewer")
    link = re.search(r'href="(/usage-inputs\.csv[^"]*)"', web.get("/usage-inputs?from=2023-07-01").text)
    assert link
    assert link[1] == "/usage-inputs.csv?from=2023-07-01"
    rows = list(csv.DictReader(web.get(link[1]).text.splitlines()))
    assert rows.pop()["usage_input_id"] == f"# {len(rows)} rows"
    [row] = rows
    assert row["usage_input_id"] == JULY
    assert (row["quantity"], row["description"], row["customer_id"]) == ("-5.00", "'@SUM(A1)", "C-1")
    assert web.get("/usage-inputs.csv?customer_id=nobody").status_code == 404


def test_the_list_has_the_columns_of_the_vendors_table_beside_customer_and_product(
    web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    page = web.get("/usage-inputs").text
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', page)
    assert heads == [
        *(
            "Input id",
            "Asset No.",
            "Customer",
            "Product",
            "Status",
            "Quantity",
            "Rated Amount",
            "Usage Date",
            "Product UOM",
        ),
        "(Draft) Rated Amount",
    ]
    assert f'href="/usage-inputs/{JUNE}"' in page
    assert 'href="/asset-line-items/AL-1">akdsjs' in page
    assert re.search(r'<a href="/customers/C-1">[^<]+</a>', page)
    product = re.search(r'<a href="(/usage-inputs\?product=[^"]+)">([^<]+)</a>', page)
    assert product
    assert web.get(product[1]).text.count(f">{product[2]}</a>") == 2


def test_a_list_that_shows_something_else_says_that_nothing_is_ticked_any_more(
    web: TestClient, visit: Visit
) -> None:
    visit("operator")
    sentence = "The list shows something else now: what was ticked before is not selected any more."
    assert sentence in web.get("/usage-inputs?status=Loaded&done=ticks-gone").text
    assert sentence not in web.get("/usage-inputs?status=Loaded").text


def test_the_list_is_filtered_by_its_address(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    page = web.get("/usage-inputs?from=2023-07-01&asset_line_item_id=AL-1").text
    assert (JULY in page, JUNE in page) == (True, False)
    assert "No usage input matches the filter" in web.get("/usage-inputs?status=Rated").text


def test_a_filter_that_cannot_be_is_shown_with_what_was_typed_and_the_message_of_the_command(
    web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    answer = web.get("/usage-inputs?before=2023-02-30&customer_id=C-1")
    assert answer.status_code == 422
    assert 'value="C-1"' in answer.text
    assert 'href="#before"' in answer.text


def test_count_and_sums_come_after_the_rows_and_without_a_script_by_a_link(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    assert "Not counted yet" in web.get("/usage-inputs").text
    region = web.get("/usage-inputs", headers={"X-Live-Region": "region_sums"}).text
    assert "2 usage inputs" in region
    assert "data-live" not in region
    assert "1 usage input " in words(web.get("/usage-inputs?before=2023-07-01&sums=true").text)


def test_sums_of_many_go_on_by_a_link_that_keeps_the_page_of_the_list(
    web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit("viewer")
    monkeypatch.setattr("batchwright.operations.billing.selections.STRETCH", 1)
    monkeypatch.setattr(routes, "PART_SECONDS", 0.0)
    monkeypatch.setattr(routes, "UNASKED_SECONDS", 0.0)
    region = web.get("/usage-inputs", headers={"X-Live-Region": "region_sums"}).text
    assert "More than 1 usage input match." in region
    older = re.search(r'href="([^"]*after=[^"]*)"', web.get("/usage-inputs?limit=1").text)
    assert older
    shown = web.get(html.unescape(older[1]) + "&sums=true").text
    rows = re.findall(r'id="row-([^"]*)"', shown)
    counted = 1
    while following := re.search(r'href="([^"]*)" data-on>Count on', shown):
        assert f"{counted} usage input" in words(shown)
        shown = web.get(html.unescape(following[1])).text
        assert re.findall(r'id="row-([^"]*)"', shown) == rows
        counted += 1
    assert counted > 2
    assert "2 usage inputs" in words(shown)
    assert re.search(r"Counted from \d\d:\d\d:\d\d to ", words(shown))
    foreign = web.get("/usage-inputs?sums=true&sums_after=AAAA")
    assert (foreign.status_code, "or leave it out to begin anew" in foreign.text) == (422, True)


def test_a_list_without_an_input_tells_how_they_come(app: Application, web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    address = chosen(web, token, "delete", all="true")
    web.post(address, data={"csrf_token": token, "when": "now"})
    assert "They come with" in web.get("/usage-inputs").text


def test_inputs_that_are_ticked_are_drafted_at_once_after_they_were_asked_for_in_numbers(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    address = chosen(web, token, "draft-rate", usage_input_id=[JUNE])
    shown = words(web.get(address).text)
    assert "Draft rate 1 usage input?" in shown
    assert "1 Loaded" in shown
    assert "Partly selected of 1 asset line item" in shown
    assert "overwritten" in shown
    answer = web.post(address, data={"csrf_token": token, "when": "now"}, follow_redirects=False)
    (run,) = list_runs(app, actor=ACTOR)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/runs/{run['run_id']}")
    assert inputs(app) == {JUNE: ("Loaded", None, "4000.00"), JULY: ("Loaded", None, None)}


def test_all_that_match_are_those_that_matched_when_they_were_selected(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    address = chosen(web, token, "rate", all="true", status="Loaded")
    edit_usage_input(app, JULY, quantity="11", actor=ACTOR)
    web.post(chosen(web, token, "rate", usage_input_id=[JUNE]), data={"csrf_token": token, "when": "now"})
    assert "2 Loaded" in words(web.get(address).text), "as they were shown"
    web.post(address, data={"csrf_token": token, "when": "now"})
    newest = next(iter(list_runs(app, actor=ACTOR)))
    found = {one["record_id"]: one["outcome"] for one in run_outcomes(app, newest["run_id"], actor=ACTOR)}
    assert found == {JUNE: "skipped", JULY: "ok"}


@pytest.mark.parametrize(("act", "job"), [("draft-rate", "draft-usage-rating"), ("rate", "usage-rating")])
def test_what_is_selected_can_be_tried_as_a_dry_run_first(
    web: TestClient, visit: Visit, act: str, job: str
) -> None:
    question = web.get(chosen(web, visit("operator"), act, all="true")).text
    (there,) = re.findall(r'<a href="([^"]+)">Dry run of these</a>', question)
    form = web.get(there).text
    assert there.startswith(f"/jobs/{job}/launch?p.selection_id=SEL-")
    assert there.partition("=")[2] in form
    assert "Takes <strong>2 usage inputs" in form


@pytest.mark.parametrize("act", ["draft-rate", "rate", "unrate", "reset", "delete"])
def test_in_the_background_the_run_waits_for_a_worker(
    app: Application, web: TestClient, visit: Visit, act: str
) -> None:
    token = visit("operator")
    address = chosen(web, token, act, all="true")
    answer = web.post(address, data={"csrf_token": token, "when": "background"}, follow_redirects=False)
    (run,) = list_runs(app, actor=ACTOR)
    assert answer.headers["Location"] == f"/runs/{run['run_id']}"
    assert run["status"] in ("Holding", "Queued")


def test_a_form_that_is_sent_twice_is_one_run(app: Application, web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    address = chosen(web, token, "draft-rate", all="true")
    form = {"csrf_token": token, "when": "now", "form_key": "a-key-of-this-form"}
    first, second = (web.post(address, data=form, follow_redirects=False) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert len(list(list_runs(app, actor=ACTOR))) == 1


def test_what_an_act_leaves_alone_is_said_before(app: Application, web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    web.post(chosen(web, token, "rate", usage_input_id=[JUNE]), data={"csrf_token": token, "when": "now"})
    shown = words(web.get(chosen(web, token, "delete", all="true")).text)
    assert "1 Loaded, 1 Rated" in shown
    assert "Skipped 1: Delete takes those that are Loaded or Error" in shown
    assert "4,000.00 USD" in shown
    assert "This cannot be undone" in shown


def test_a_wide_act_that_takes_something_away_wants_its_number_typed(
    app: Application, web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwright.console.pages.routes.usage_inputs.TYPED_ABOVE", 1)
    token = visit("operator")
    address = chosen(web, token, "delete", all="true")
    form = {"csrf_token": token, "when": "now", "reason": HOSTILE}
    answer = web.post(address, data={**form, "typed": "1"})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert str(escape(HOSTILE)) in answer.text, "what was typed is kept"
    assert len(inputs(app)) == 2
    web.post(address, data={**form, "typed": "2"})
    assert inputs(app) == {}


def test_nothing_chosen_or_an_unknown_act_or_selection_is_told(web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    form = {"csrf_token": token, "act": "rate"}
    assert "No usage input was chosen" in web.post("/usage-inputs/selections", data=form).text
    assert web.post("/usage-inputs/selections", data=form | {"act": HOSTILE}).status_code == 404
    assert web.get("/usage-inputs/selections/SEL-0/rate").status_code == 422
    address = chosen(web, token, "rate", all="true")
    assert web.get(address.replace("/rate", "/sell")).status_code == 404
    visit("administrator")
    answer = web.get(f"{address}?status=Loaded")
    assert (answer.status_code, "without its filter" in answer.text) == (422, False), "somebody else's"


def test_a_viewer_sees_no_boxes_of_all_and_buttons_that_name_the_role_they_need(
    web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    page = web.get("/usage-inputs").text
    assert page.count('disabled title="Needs the role operator"') == 5
    assert 'name="all"' not in page


def test_the_page_of_an_input_shows_its_amounts_and_how_each_came_about(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    web.post(f"/usage-inputs/{JUNE}/draft-rate", data={"csrf_token": token})
    web.post(f"/usage-inputs/{JUNE}/rate", data={"csrf_token": token})
    page = web.get(f"/usage-inputs/{JUNE}").text
    shown = words(page)
    assert "Quantity 20.00 Each Rated Amount 4,000.00 USD (Draft) Rated Amount 4,000.00 USD" in shown
    assert "Usage, tier 1 20.00 200.00 4,000.00" in shown
    assert re.search(r"Internet Plans of PB-1 ?, from 2023-01-01 ?, revision 1", shown)
    assert "Used before it Nothing: the first in its window" in shown
    assert re.search(r"Customer \S.* Product Internet Plans Asset line item", shown)
    assert 'href="/customers/' in page
    leads = set(re.findall(r'href="(/(?:prices|contracts)/[^"]+)#revision-1"', page))
    assert len(leads) == 2
    for lead in leads:
        assert 'id="revision-1"' in web.get(lead).text, lead


def test_an_input_is_drafted_and_processed_from_its_page(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    for act, words_of_it, after in (
        ("draft-rate", "Draft rate", ("Loaded", None, "4000.00")),
        ("rate", "Process Usage Input", ("Rated", "4000.00", "4000.00")),
        ("unrate", "Unrate", ("Error", None, None)),
        ("reset", "Reset", ("Loaded", None, None)),
    ):
        page = web.get(f"/usage-inputs/{JUNE}").text
        assert f'href="/usage-inputs/{JUNE}/{act}" data-dialog>{words_of_it}' in page
        answer = web.post(f"/usage-inputs/{JUNE}/{act}", data={"csrf_token": token, "reason": "A test"})
        assert answer.status_code == 200, answer.text
        assert answer.url.query == f"done=usage-input-{act}".encode(), act
        status, rated, draft = inputs(app)[JUNE]
        assert (status, rated) == after[:2], act
        assert after[2] in (None, draft), act
    web.post(f"/usage-inputs/{JUNE}/delete", data={"csrf_token": token})
    assert list(inputs(app)) == [JULY]
    missing = web.get(f"/usage-inputs/{JUNE}")
    assert (missing.status_code, "its id stays taken" in missing.text) == (410, True)
    found = web.get("/search", params={"q": JUNE})
    assert (found.status_code, found.url.path) == (410, f"/usage-inputs/{JUNE}")


def test_an_act_that_the_status_forbids_is_shown_disabled_with_why(web: TestClient, visit: Visit) -> None:
    visit("operator")
    page = web.get(f"/usage-inputs/{JUNE}").text
    assert 'Unrate<span class="unseen"> (its status is Loaded; this takes Rated)' in page
    question = web.get(f"/usage-inputs/{JUNE}/unrate").text
    assert "Its status is Loaded; this takes Rated." in question
    assert 'name="reason"' not in question
    visit("viewer")
    assert (
        'Process Usage Input<span class="unseen"> (needs the role operator)'
        in web.get(f"/usage-inputs/{JUNE}").text
    )


def test_an_act_whose_run_skips_the_input_leads_to_the_history_that_says_why(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    answer = web.post(f"/usage-inputs/{JUNE}/unrate", data={"csrf_token": token})
    assert "This was not done for the usage input" in answer.text
    region = web.get(f"/usage-inputs/{JUNE}", headers={"X-Live-Region": "region_history"}).text
    assert "there is no rated amount to take back" in region
    assert "data-live" not in region


def test_an_act_on_an_input_that_changed_after_it_was_shown_asks_again(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    question = web.get(f"/usage-inputs/{JUNE}/rate").text
    expected = re.search(r'name="expected" value="(\w+)"', question)
    assert expected is not None
    edit_usage_input(app, JUNE, quantity="19", actor=ACTOR)
    form = {"csrf_token": token, "expected": expected[1]}
    answer = web.post(f"/usage-inputs/{JUNE}/rate", data=form)
    assert (answer.status_code, "Quantity 19.00 Each" in words(answer.text)) == (422, True)
    assert inputs(app)[JUNE][0] == "Loaded"


def test_history_comes_after_the_rest_and_page_by_page(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    for _ in range(3):
        web.post(f"/usage-inputs/{JUNE}/draft-rate", data={"csrf_token": token})
    assert f'href="/usage-inputs/{JUNE}/history"' in web.get(f"/usage-inputs/{JUNE}").text
    first = web.get(f"/usage-inputs/{JUNE}/history?limit=2").text
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older is not None
    second = web.get(html.unescape(older[1])).text
    found = [re.findall(r'id="in-(JR-\d+)"', page) for page in (first, second)]
    assert [len(one) for one in found] == [2, 1]
    assert len({*found[0], *found[1]}) == 3


def test_an_input_is_edited_as_it_was_shown_and_a_conflict_shows_both(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    form = edit_form(web, token)
    assert form["quantity"] == "20.00"
    edit_usage_input(app, JUNE, quantity="25", actor=ACTOR)
    answer = web.post(f"/usage-inputs/{JUNE}/edit", data=form | {"quantity": "21", "description": HOSTILE})
    assert answer.status_code == 422
    assert "Quantity 25.00 21" in words(answer.text)
    assert "<script>alert" not in answer.text
    assert inputs(app)[JUNE][0] == "Loaded"
    again = edit_form(web, token, answer.text)
    assert again["quantity"] == "21", "what was typed is kept"
    answer = web.post(f"/usage-inputs/{JUNE}/edit", data=again)
    assert "The usage input was changed" in answer.text
    assert "21.00 Each" in words(answer.text)


def test_an_edit_that_is_refused_keeps_what_was_typed_beside_the_message(
    web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    form = edit_form(web, token) | {"quantity": "many", "reason": "A reason"}
    answer = web.post(f"/usage-inputs/{JUNE}/edit", data=form)
    assert answer.status_code == 422
    assert 'href="#quantity"' in answer.text
    assert 'value="many"' in answer.text
    assert 'value="A reason"' in answer.text


def test_an_input_is_added_by_its_form(app: Application, web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    form = {"csrf_token": token, "usage_date": "2023-06-20", "quantity": "5", "product_uom": "Each"}
    answer = web.post("/usage-inputs/add", data=form)
    assert (answer.status_code, 'value="2023-06-20"' in answer.text) == (422, True)
    answer = web.post("/usage-inputs/add", data=form | {"asset_line_item_id": "AL-1"})
    assert "The usage input was added" in answer.text
    assert len(inputs(app)) == 3


def test_an_id_with_the_signs_of_an_address_is_acted_on_and_its_history_read(
    app: Application, web: TestClient, visit: Visit
) -> None:
    odd = "IN?1#2&x=/y%"
    shown = show_usage_input(app, JUNE)
    given = {name: shown[name] for name in ("asset_line_item_id", "usage_date", "quantity", "product_uom")}
    add_usage_input(app, usage_input_id=odd, actor=ACTOR, **given)
    token = visit("operator")
    there = f"/usage-inputs/{quote(odd, safe='')}"
    assert inputs(app)[odd][0] == "Loaded"
    for act, status in (("draft-rate", "Loaded"), ("rate", "Rated")):
        page = web.get(f"{there}/{act}").text
        (address,) = re.findall(r'<form method="post" action="([^"]*)" data-once>', page)
        (expected,) = re.findall(r'name="expected" value="([^"]*)"', page)
        sent = {"csrf_token": token, "expected": expected}
        done = web.post(html.unescape(address), data=sent, follow_redirects=False)
        assert done.status_code == 303, (address, done.text)
        assert inputs(app)[odd][0] == status
    (older,) = re.findall(r'href="([^"]*after=[^"]*)"', web.get(f"{there}/history?limit=1").text)
    assert web.get(html.unescape(older)).text.count('id="in-JR-') == 1


def test_script_in_the_texts_of_an_input_is_shown_harmlessly(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    an_id = "IN/<b>&?#"
    form = {"usage_input_id": an_id, "description": HOSTILE, "product_uom": HOSTILE, "reason": HOSTILE}
    row = {"asset_line_item_id": "AL-1", "usage_date": "2023-06-20", "quantity": "5", **form}
    shown = web.post("/usage-inputs/add", data={"csrf_token": token, **row})
    assert (shown.status_code, str(escape(HOSTILE)) in shown.text) == (200, True)
    at = shown.url.raw_path.decode().partition("?")[0]
    web.post(f"{at}/draft-rate", data={"csrf_token": token, "reason": HOSTILE})
    region = {"X-Live-Region": "region_history"}
    pages = [web.get(f"{at}{end}") for end in ("", "/edit", "/rate", "/history")]
    for page in [*pages, web.get(at, headers=region), web.get("/usage-inputs")]:
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<b>&" not in page.text


def test_an_act_on_one_input_that_is_sent_twice_is_done_once_and_answered_as_at_first(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    for act, runs in (("draft-rate", 1), ("delete", 2)):
        hidden = dict(
            re.findall(
                r'name="(expected|form_key)" value="([^"]+)"', web.get(f"/usage-inputs/{JUNE}/{act}").text
            )
        )
        form = {"csrf_token": token, **hidden}
        first, second = (
            web.post(f"/usage-inputs/{JUNE}/{act}", data=form, follow_redirects=False) for _ in range(2)
        )
        assert first.status_code == second.status_code == 303
        assert first.headers["Location"] == second.headers["Location"]
        assert len(list(list_runs(app, actor=ACTOR))) == runs


def test_a_page_that_is_read_has_a_limit(
    web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    def noted(*given: Any, **named: Any) -> Any:
        limits.append(READ_SECONDS.get())
        return sum_usage_inputs(*given, **named)

    monkeypatch.setattr(routes, "sum_usage_inputs", noted)
    visit("viewer")
    assert JUNE in words(web.get("/usage-inputs?sums=true").text)
    assert limits == [PAGE_SECONDS]


def edit_form(web: TestClient, token: str, page: str | None = None) -> dict[str, str]:
    """The fields of the form to edit the June input, as they are shown."""
    shown = page or web.get(f"/usage-inputs/{JUNE}/edit").text
    names = ("expected", "quantity", "usage_date", "description")
    found = {name: re.search(rf'name="{name}"[^>]* value="([^"]*)"', shown) for name in names}
    return {"csrf_token": token} | {name: html.unescape(one[1]) for name, one in found.items() if one}
