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
        ("/contracts", "/contracts/CT-HL-2023"),
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


def test_the_workers_are_listed_and_followed(web: TestClient, app: Application, visit: Visit) -> None:
    visit("viewer")
    assert "No worker is there" in web.get("/workers").text
    Presence(app).beat()
    region = web.get("/workers", headers={"X-Live-Region": "region_workers"}).text
    assert "Beats" in region
    assert "<html" not in region
