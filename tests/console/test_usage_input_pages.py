"""The pages of usage inputs: the list view and its selection, one input, and what is done to them."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import edit_usage_input, list_usage_inputs
from batchwright.operations.runs.looking import list_runs, run_outcomes
from tests.console.conftest import Visit
from tests.support.application import ACTOR

JUNE, JULY = "IN-00007052", "IN-00007053"
HOSTILE = '"><script>alert(1)</script>'

pytestmark = pytest.mark.usefixtures("seed")


def words(page: str) -> str:
    """What is to be read on a page, without markup."""
    main = page.partition("<main")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


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


def test_the_list_has_the_columns_of_the_vendors_table(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    page = web.get("/usage-inputs").text
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', page)
    assert heads == [
        *("Input id", "Asset No.", "Status", "Quantity", "Rated Amount", "Usage Date", "Product UOM"),
        "(Draft) Rated Amount",
    ]
    assert f'href="/usage-inputs/{JUNE}"' in page
    assert 'href="/asset-line-items/AL-1">akdsjs' in page


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


def test_a_list_without_an_input_tells_how_they_come(app: Application, web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    asked = chosen(web, token, "delete", all="true")
    web.post(asked, data={"csrf_token": token, "when": "now"})
    assert "They come with" in web.get("/usage-inputs").text


def test_inputs_that_are_ticked_are_drafted_at_once_after_they_were_asked_for_in_numbers(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    asked = chosen(web, token, "draft-rate", usage_input_id=[JUNE])
    shown = words(web.get(asked).text)
    assert "Draft rate 1 usage input?" in shown
    assert "1 Loaded" in shown
    assert "Partly selected of 1 asset line item" in shown
    assert "overwritten" in shown
    answer = web.post(asked, data={"csrf_token": token, "when": "now"}, follow_redirects=False)
    (run,) = list_runs(app, actor=ACTOR)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/runs/{run['run_id']}")
    assert inputs(app) == {JUNE: ("Loaded", None, "4000.00"), JULY: ("Loaded", None, None)}


def test_all_that_match_are_those_that_matched_when_they_were_selected(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    asked = chosen(web, token, "rate", all="true", status="Loaded")
    edit_usage_input(app, JULY, quantity="11", actor=ACTOR)
    web.post(chosen(web, token, "rate", usage_input_id=[JUNE]), data={"csrf_token": token, "when": "now"})
    assert "2 Loaded" in words(web.get(asked).text), "as they were shown"
    web.post(asked, data={"csrf_token": token, "when": "now"})
    newest = next(iter(list_runs(app, actor=ACTOR)))
    told = {one["record_id"]: one["outcome"] for one in run_outcomes(app, newest["run_id"], actor=ACTOR)}
    assert told == {JUNE: "skipped", JULY: "ok"}


@pytest.mark.parametrize("act", ["draft-rate", "rate", "unrate", "reset", "delete"])
def test_in_the_background_the_run_waits_for_a_worker(
    app: Application, web: TestClient, visit: Visit, act: str
) -> None:
    token = visit("operator")
    asked = chosen(web, token, act, all="true")
    answer = web.post(asked, data={"csrf_token": token, "when": "background"}, follow_redirects=False)
    (run,) = list_runs(app, actor=ACTOR)
    assert answer.headers["Location"] == f"/runs/{run['run_id']}"
    assert run["status"] in ("Holding", "Queued")


def test_a_form_that_is_sent_twice_is_one_run(app: Application, web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    asked = chosen(web, token, "draft-rate", all="true")
    form = {"csrf_token": token, "when": "now", "form_key": "a-key-of-this-form"}
    first, second = (web.post(asked, data=form, follow_redirects=False) for _ in range(2))
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
    asked = chosen(web, token, "delete", all="true")
    form = {"csrf_token": token, "when": "now", "reason": HOSTILE}
    answer = web.post(asked, data={**form, "typed": "1"})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert str(escape(HOSTILE)) in answer.text, "what was typed is kept"
    assert len(inputs(app)) == 2
    web.post(asked, data={**form, "typed": "2"})
    assert inputs(app) == {}


def test_nothing_chosen_or_an_unknown_act_or_selection_is_told(web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    form = {"csrf_token": token, "act": "rate"}
    assert "no usage input was chosen" in web.post("/usage-inputs/selections", data=form).text
    assert web.post("/usage-inputs/selections", data=form | {"act": HOSTILE}).status_code == 404
    assert web.get("/usage-inputs/selections/SEL-0/rate").status_code == 422
    asked = chosen(web, token, "rate", all="true")
    assert web.get(asked.replace("/rate", "/sell")).status_code == 404
    visit("administrator")
    assert web.get(asked).status_code == 422, "somebody else's"


def test_a_viewer_sees_no_boxes_of_all_and_buttons_that_name_the_role_they_need(
    web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    page = web.get("/usage-inputs").text
    assert page.count('disabled title="Needs the role operator"') == 5
    assert 'name="all"' not in page
