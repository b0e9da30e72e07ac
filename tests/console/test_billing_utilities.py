"""The page of billing utilities: who may recalculate what, the dialog's two steps, and what it submits."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from batchwright.operations.access.permissions import ROLES
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.recalculation import list_account_charges, recalculation_offer
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.runs.submitting import submit_run
from tests.console.conftest import Visit
from tests.jobs.rating import rate
from tests.support.application import ACTOR

BILLING = "Billing Utilities Admin"
DIALOG = "/billing-utilities/recalculation"
HOSTILE = "<script>alert(1)</script>"
WANTED = {"customer_id": "C-1002", "periods": ["2023-06", "2023-05"], "reason": "Incorrect Charges"}

pytestmark = pytest.mark.usefixtures("company")


def send(web: TestClient, token: str, **fields: Any) -> Any:
    data = {**WANTED, **fields, "csrf_token": token}
    given = {name: value for name, value in data.items() if value is not None}
    return web.post(DIALOG, data=given, follow_redirects=False)


def refusal(page: str) -> tuple[str, str]:
    """What the summary says, and the field that it leads to."""
    found = re.search(r'id="refused">.*?<p>(?:<a href="#([^"]*)">)?(.*?)(?:</a>)?</p>', page, re.DOTALL)
    assert found is not None
    return unescape(found[2]), found[1]


@pytest.mark.parametrize("role", ROLES)
def test_the_card_opens_the_dialog_for_who_may_and_says_to_others_what_role_they_need(
    web: TestClient, visit: Visit, role: str
) -> None:
    token, may = visit(role), role in ROLES[ROLES.index(BILLING) :]
    page = web.get("/billing-utilities").text
    assert (f'href="{DIALOG}" data-dialog>Run recalculation' in page) is may
    assert (f"needs the role {BILLING}" in page) is not may
    assert web.get(DIALOG).status_code == (200 if may else 403)
    assert send(web, token).status_code == (303 if may else 403)


def test_the_list_shows_who_can_be_recalculated_and_apart_from_it_who_cannot_and_why(
    app: Application, web: TestClient, visit: Visit, tmp_path: Path
) -> None:
    (tmp_path / "customers.csv").write_text(f"customer_id,name\nC-9,Nobody {HOSTILE}\n")
    import_paths(app, [tmp_path / "customers.csv"], actor=ACTOR)
    visit(BILLING)
    listed, _, others = web.get(DIALOG).text.partition("1 customer not in the list")
    offered = [one["customer_id"] for one in recalculation_offer(app, actor=ACTOR)["customers"]]
    assert re.findall(r'customer_id=([^"]+)" data-dialog', listed) == offered
    assert "C-9</span>: no contract is active today" in others
    assert HOSTILE not in listed + others
    page = web.get(DIALOG, params={"customer_id": "C-9"}).text
    assert "C-9 cannot be recalculated" in page
    assert "No contract is active today" in page
    assert web.get(DIALOG, params={"customer_id": "C-0"}).status_code == 422


def test_a_customer_is_found_by_a_part_of_the_name_also_while_one_types(
    web: TestClient, visit: Visit
) -> None:
    visit(BILLING)
    found = web.get(DIALOG, params={"q": "alpen"}).text
    assert re.findall(r'customer_id=([^"]+)" data-dialog', found) == ["C-1002"]
    region = web.get(DIALOG, params={"q": "alpen"}, headers={"X-Live-Region": "region_customers"})
    assert region.text.startswith('<section id="region_customers"')
    assert "C-1002" in region.text
    assert "No customer to recalculate matches" in web.get(DIALOG, params={"q": "nobody"}).text


def test_the_months_under_the_contract_are_offered_newest_first_and_reasons_as_buttons(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit(BILLING)
    page = web.get(DIALOG, params={"customer_id": "C-1002", "periods": "2023-06", "reason": "Other"}).text
    (customer,) = recalculation_offer(app, "C-1002", actor=ACTOR)["customers"]
    assert re.findall(r'name="periods" value="([^"]+)"', page) == customer["periods"]
    assert customer["periods"][0] == "2023-06"
    assert page.count('-hint">nothing rated</p>') == len(customer["periods_without_rating"]) > 0
    assert re.findall(r'name="periods" value="([^"]+)" checked', page) == ["2023-06"]
    assert re.findall(r'type="radio"[^>]*name="reason" value="([^"]+)"', page) == [
        "Credit and adjustment issues",
        "Incorrect Charges",
        "Other",
    ]
    assert 'value="Other" checked' in page
    assert "CT-AG-2023" in page
    assert "Nobody ran a recalculation yet" in page


def test_a_preview_is_what_is_submitted_unless_it_is_to_run_without(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit(BILLING)
    answer = send(web, token, reason="Other", explanation=f"Why {HOSTILE}")
    preview, *_ = list_runs(app, actor=ACTOR)
    assert answer.headers["Location"] == f"/runs/{preview['run_id']}?done=previewing"
    assert (preview["mode"], preview["periods"], preview["trigger"], preview["actor"]) == (
        "dry_run",
        ["2023-05", "2023-06"],
        "console",
        "billing@example.com",
    )
    assert (preview["reason"], preview["explanation"]) == ("Other", f"Why {HOSTILE}")
    drive_run(app, preview["run_id"], actor=ACTOR)
    assert HOSTILE not in web.get(f"/runs/{preview['run_id']}").text
    answer = send(web, token, mode="batch")
    run, *_ = list_runs(app, actor=ACTOR)
    assert (run["mode"], answer.headers["Location"]) == ("batch", f"/runs/{run['run_id']}?done=recalculating")


def test_a_month_that_a_live_run_holds_is_disabled_with_a_link_to_it(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit(BILLING)
    held = submit_run(app, "data-recalculation", WANTED, actor=ACTOR).run_id
    page = web.get(DIALOG, params={"customer_id": "C-1002", "periods": "2023-06"}).text
    assert re.findall(r'name="periods" value="([^"]+)" disabled', page) == ["2023-06", "2023-05"]
    assert page.count(f'held by <a class="id" href="/runs/{held}">') == 2
    refused = send(web, token)
    assert refused.status_code == 422
    assert held in refusal(refused.text)[0]


def test_how_long_a_month_usually_takes_is_told_before(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit(BILLING)
    run = submit_run(app, "data-recalculation", WANTED, actor=ACTOR).run_id
    drive_run(app, run, actor=ACTOR)
    query = {"customer_id": "C-1002", "periods": ["2023-06", "2023-05"]}
    region = web.get(DIALOG, params=query, headers={"X-Live-Region": "region_estimate"}).text
    assert "a month, so about" in region
    assert "for 2 months" in region


def test_how_many_rated_inputs_the_ticked_months_have_is_told_before(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit(BILLING)
    rate(app)
    run = drive_run(app, submit_run(app, "data-recalculation", WANTED, actor=ACTOR).run_id, actor=ACTOR)
    assert run["total"] > 0
    query = {"customer_id": "C-1002", "periods": WANTED["periods"]}
    assert f"<strong>{run['total']} rated usage inputs</strong>" in web.get(DIALOG, params=query).text
    for periods in ([], ["x"]):
        page = web.get(DIALOG, params=query | {"periods": periods}).text
        assert ("Preview the difference" in page, "rated usage input" in page) == (True, False)


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"customer_id": None}, None, "customer_id: Field required"),
        ({"periods": None}, "periods", "periods: Field required"),
        ({"periods": ["2023-07"]}, "periods", "2023-07 is not over"),
        ({"periods": [HOSTILE]}, "periods", "is not a valid month"),
        ({"reason": None}, "reason", "reason: Field required"),
        ({"reason": HOSTILE}, "reason", "Input should be"),
    ],
)
def test_what_the_command_refuses_is_refused_at_its_field_with_what_was_typed(
    app: Application, web: TestClient, visit: Visit, fields: dict[str, Any], field: str | None, message: str
) -> None:
    answer = send(web, visit(BILLING), **{"explanation": f"Kept {HOSTILE}", **fields})
    assert answer.status_code == 422
    text, at = refusal(answer.text)
    assert message in text
    assert HOSTILE not in answer.text
    if field is not None:
        assert at == field
        assert f'id="{field}"' in answer.text
        assert "Kept &lt;script&gt;" in answer.text
    assert list_runs(app, actor=ACTOR) == []


def test_the_charges_that_recalculations_left_are_listed_by_customer(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    assert "No account charge yet" in web.get("/billing-utilities").text
    run = submit_run(app, "data-recalculation", {**WANTED, "customer_id": "C-1001"}, actor=ACTOR).run_id
    drive_run(app, run, actor=ACTOR)
    charges = list(list_account_charges(app, actor=ACTOR))
    page = web.get("/billing-utilities?customer_id=C-1001&limit=1").text
    assert charges[0]["description"] in page
    assert f'href="/runs/{run}"' in page
    assert 'rel="next"' in page
    assert "No account charge of C-1002" in web.get("/billing-utilities?customer_id=C-1002").text
    assert "C-0" in refusal_at_field(web.get("/billing-utilities?customer_id=C-0").text)


def refusal_at_field(page: str) -> str:
    found = re.search(r'<p class="error"[^>]*>(.*?)</p>', page)
    assert found is not None
    return found[1]
