"""The pages of what was imported, and of the workers."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from batchwright.operations.app import Application
from batchwright.operations.workers import Presence
from tests.console.conftest import Visit

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

PRICE = "/prices/PB-US-2023%2FCompute%20Hours%2F2023-01-01"


def test_a_list_leads_to_the_page_of_each(web: TestClient, furnished: None, visit: Visit) -> None:
    visit("viewer")
    for listed, one in (
        ("/customers", "/customers/C-1001"),
        ("/accounts", "/accounts/HL-EAST"),
        ("/contracts", "/contracts/CT-HL-2023"),
        ("/price-books", "/price-books/PB-US-2023"),
        ("/custom-line-items", "/custom-line-items/CLI-001"),
        ("/prices?limit=200", PRICE),
    ):
        assert f'href="{one}"' in web.get(listed).text
        assert web.get(one).status_code == 200


def test_a_list_has_pages(web: TestClient, furnished: None, visit: Visit) -> None:
    visit("viewer")
    first = web.get("/customers?limit=1").text
    assert "C-1001" in first
    assert "C-1002" not in first
    assert "/customers?limit=1&amp;after=" in first


def test_an_id_that_is_typed_leads_to_its_page(web: TestClient, furnished: None, visit: Visit) -> None:
    visit("viewer")
    answer = web.get("/prices?id=PB-US-2023/Compute%20Hours/2023-01-01", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, PRICE)
    assert web.get("/contracts?id=CT-none").status_code == 404


def test_a_page_tells_what_is_in_force_on_a_day(web: TestClient, furnished: None, visit: Visit) -> None:
    visit("viewer")
    assert "Not in force" in web.get("/contracts/CT-HL-2023?on=1999-01-01").text
    assert "Not in force" not in web.get("/contracts/CT-HL-2023?on=2023-06-05").text
    assert 'href="/contracts/CT-HL-2023"' in web.get("/customers/C-1001?on=2023-06-05").text
    assert web.get("/customers/C-1001?on=June").status_code == 422


def test_a_list_is_narrowed_down_and_says_what_it_cannot_be_narrowed_down_by(
    web: TestClient, furnished: None, visit: Visit
) -> None:
    visit("viewer")
    for there, has, has_not in (
        ("/customers?words=c-1001", "C-1001", "C-1002"),
        ("/accounts?customer_id=C-1001", "HL-EAST", "C-1002"),
        ("/contracts?customer_id=C-1001&status=Active&on=2023-06-05", "CT-HL-2023", "C-1002"),
        ("/prices?price_book_id=PB-US-2023&words=compute", "Compute Hours", "PB-HL-API"),
        ("/custom-line-items?contract_id=CT-HL-2023", "CT-HL-2023", "C-1002"),
        ("/asset-line-items?customer_id=C-1001", "C-1001", "C-1002"),
    ):
        page = web.get(there)
        assert (page.status_code, has in page.text, has_not in page.text) == (200, True, False), there
    assert "No customer matches the filter" in web.get("/customers?words=nobody").text
    for there, field in (
        ("/customers?status=Active", "status"),
        ("/contracts?customer_id=C-0", "customer_id"),
        ("/contracts?status=Lapsed", "status"),
        ("/contracts?on=June", "on"),
        (f"/asset-line-items?words={'9' * 201}", "words"),
    ):
        refused = web.get(there)
        assert (refused.status_code, f'href="#{field}"' in refused.text) == (422, True), there


def test_what_belongs_together_is_linked(web: TestClient, furnished: None, visit: Visit) -> None:
    visit("viewer")
    customer = web.get("/customers/C-1001").text
    for there in ("/accounts", "/contracts", "/asset-line-items", "/usage-inputs"):
        assert f'href="{there}?customer_id=C-1001"' in customer
    contract = web.get("/contracts/CT-HL-2023").text
    assert 'href="/custom-line-items?contract_id=CT-HL-2023"' in contract
    assert 'href="/price-books/' in contract
    assert 'href="/prices?price_book_id=PB-US-2023"' in web.get("/price-books/PB-US-2023").text


@pytest.mark.parametrize(
    "wanted", ["/accounts/HL-EAST", "/price-books/PB-US-2023", "/custom-line-items/CLI-001"]
)
def test_the_search_leads_to_what_was_imported(
    web: TestClient, furnished: None, visit: Visit, wanted: str
) -> None:
    visit("viewer")
    answer = web.get("/search", params={"q": wanted.rpartition("/")[2]}, follow_redirects=False)
    assert answer.headers["location"] == wanted


def test_the_workers_are_listed_and_followed(web: TestClient, app: Application, visit: Visit) -> None:
    visit("viewer")
    page = web.get("/workers").text
    assert "No worker is there" in page
    assert 'href="/metrics"' in page
    Presence(app).beat()
    region = web.get("/workers", headers={"X-Live-Region": "region_workers"}).text
    assert "Beats" in region
    assert "<html" not in region
