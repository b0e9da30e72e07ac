"""The outcomes of a run, its preview, and applying just that."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from batchwright.engine.job import Change, DryRunJob, Preview, Record, Scope, StartContext
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.runs.driving import drive_run, drive_submitted
from batchwright.operations.runs.looking import list_runs, outcome_summary, run_outcomes
from batchwright.operations.runs.submitting import submit_run
from tests.console.conftest import Visit
from tests.jobs.company import indexed
from tests.jobs.rating import rate, unrate
from tests.jobs.recalculating import JOB as RECALC
from tests.jobs.recalculating import Contracted, asked
from tests.support.application import ACTOR


@pytest.fixture
def drafted(app: Application, company: None) -> str:
    """A draft rating with errors."""
    return str(
        drive_submitted(app, submit_run(app, "draft-usage-rating", {}, actor=ACTOR), mail=False)["run_id"]
    )


@pytest.fixture
def foretold(app: Application, seed: None) -> str:
    """A rating that was run dry."""
    dry = submit_run(app, "usage-rating", {}, actor=ACTOR, mode="dry_run")
    return str(drive_submitted(app, dry, mail=False)["run_id"])


def test_outcomes_are_filtered_by_outcome_and_code_and_counted_on_their_tabs(
    app: Application, web: TestClient, visit: Visit, drafted: str
) -> None:
    visit("viewer")
    page = web.get(f"/runs/{drafted}/outcomes?outcome=error&code=no_price").text
    errors = sum(
        one["count"] for one in outcome_summary(app, drafted, actor=ACTOR) if one["outcome"] == "error"
    )
    assert re.search(rf'aria-current="page">Errors <span class="nowrap">{errors}</span>', page)
    assert page.count("<tr>") == 1 + 1
    assert web.get(f"/runs/{drafted}/outcomes?outcome=nonsense").status_code == 422


def test_all_outcomes_come_page_by_page_in_their_order(
    app: Application, web: TestClient, visit: Visit, drafted: str
) -> None:
    visit("viewer")
    seen: list[str] = []
    there = f"/runs/{drafted}/outcomes?limit=200"
    while there:
        page = web.get(there).text
        seen += re.findall(r'href="/usage-inputs/([^"]+)"', page)
        older = re.search(r'href="([^"]+)" rel="next"', page)
        there = older[1].replace("&amp;", "&") if older else ""
    assert seen == [one["record_id"] for one in run_outcomes(app, drafted, actor=ACTOR)]


def test_a_record_is_gone_to_by_its_number_and_found_by_its_id(
    app: Application, web: TestClient, visit: Visit, drafted: str
) -> None:
    visit("viewer")
    whole = [str(one["record_id"]) for one in run_outcomes(app, drafted, actor=ACTOR)]
    page = web.get(f"/runs/{drafted}/outcomes?first_record=12&limit=25").text
    assert re.findall(r'href="/usage-inputs/([^"]+)"', page) == whole[11:36]
    assert 'name="first_record" type="number" value="12"' in page
    older = re.search(r'href="([^"]+)" rel="next"', page)
    assert older is not None
    page = web.get(older[1].replace("&amp;", "&")).text
    assert re.findall(r'href="/usage-inputs/([^"]+)"', page) == whole[36:61]
    page = web.get(f"/runs/{drafted}/outcomes?record_id={whole[17]}").text
    assert re.findall(r'href="/usage-inputs/([^"]+)"', page) == [whole[17]]
    page = web.get(f"/runs/{drafted}/outcomes?record_id=IN-none").text
    assert "This run has no record IN-none" in page
    too_far = web.get(f"/runs/{drafted}/outcomes?first_record=1000000")
    assert (too_far.status_code, 'href="#first_record"' in too_far.text) == (422, True)
    assert 'value="1000000"' in too_far.text


def test_outcomes_are_had_as_a_file(web: TestClient, visit: Visit, drafted: str) -> None:
    visit("viewer")
    answer = web.get(f"/runs/{drafted}/outcomes.csv?outcome=error&code=no_price")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{drafted}-outcomes.csv"'
    assert answer.text.splitlines()[-1] == "# 1 rows"


def test_a_preview_is_applied_once_its_id_is_typed_and_writes_what_it_showed(
    app: Application, web: TestClient, visit: Visit, foretold: str
) -> None:
    token = visit("operator")
    page = web.get(f"/runs/{foretold}/preview").text
    assert "6,000.00" in page
    assert 'class="id" href="/customers/' in page
    assert f'href="/runs/{foretold}/preview.csv" download' in page
    file = web.get(f"/runs/{foretold}/preview.csv?by=input")
    assert file.headers["Content-Disposition"] == f'attachment; filename="{foretold}-preview.csv"'
    lines = list(csv.DictReader(file.text.splitlines()))[:-1]
    assert sum(Decimal(one["difference"]) for one in lines) == 6000
    assert {one["kind"] for one in lines} == {"usage_input"}
    assert all(row["status"] == "Loaded" for row in list_usage_inputs(app, actor=ACTOR))
    form = {"csrf_token": token, "typed": "JR-00000000", "reason": "Agreed"}
    answer = web.post(f"/runs/{foretold}/apply", data=form, follow_redirects=False)
    assert (answer.status_code, 'value="Agreed"' in answer.text) == (422, True)
    answer = web.post(f"/runs/{foretold}/apply", data=form | {"typed": foretold}, follow_redirects=False)
    assert answer.status_code == 303
    applied = urlsplit(answer.headers["Location"]).path.rpartition("/")[2]
    assert drive_run(app, applied, actor=ACTOR, mail=False)["status"] == "Completed"
    assert all(row["status"] == "Rated" for row in list_usage_inputs(app, actor=ACTOR))
    assert f'href="/runs/{applied}"' in web.get(f"/runs/{foretold}/preview").text


def test_a_preview_of_a_recalculation_is_applied_by_those_who_may_recalculate_and_offered_to_no_others(
    app: Application, web: TestClient, visit: Visit
) -> None:
    with app.database.write() as connection:
        Contracted(connection).begin()
    dry = drive_submitted(app, submit_run(app, RECALC, asked(), actor=ACTOR, mode="dry_run"), mail=False)
    there = f"/runs/{dry['run_id']}"
    visit("operator")
    needs = 'aria-disabled="true" title="Needs the role Billing Utilities Admin">'
    assert f"{needs}Apply exactly this" in web.get(f"{there}/preview").text
    assert f"{needs}Retry" in web.get(there).text
    assert [web.get(f"{there}/{act}").status_code for act in ("apply", "retry")] == [403, 403]
    visit("Billing Utilities Admin")
    assert f'href="{there}/apply"' in web.get(f"{there}/preview").text
    assert web.get(f"{there}/apply").status_code == 200


def test_a_preview_in_which_no_money_changes_says_what_does(
    app: Application, web: TestClient, visit: Visit, seed: None
) -> None:
    dry = submit_run(
        app, "usage-input-deletion", {"usage_input_ids": ["IN-00007052"]}, actor=ACTOR, mode="dry_run"
    )
    drive_submitted(app, dry, mail=False)
    visit("viewer")
    page = web.get(f"/runs/{dry.run_id}/preview").text
    assert ("What changes" in page, "Difference" in page, "status: Loaded" in page) == (True, False, True)


class Previewing(DryRunJob):
    """Shows two records; a record of what kind, and what of it changes, its subclasses say."""

    name, type = "previewing", "Previewing"

    def start(self, context: StartContext) -> Iterator[Record]:
        yield from (Record(1), Record(2))

    def compute(self, scope: Scope) -> list[Preview]:
        changed = {"before": "old <b>", "after": None, "by": "hand"}
        return [Preview("contact", f"R-{key}", None, changed) for key in scope.keys]

    def apply(self, scope: Scope, computed: list[Preview]) -> None:
        """Nothing."""

    def preview(self, scope: Scope, computed: list[Preview]) -> list[Preview]:
        return computed


class WithMoney(Previewing):
    """The same with whose money changes."""

    name, type = "with-money", "With money"

    def compute(self, scope: Scope) -> list[Preview]:
        return [
            Preview("invoice", f"R-{key}", None, {}, Change(100 * key, 300 * key, "USD"), "C-1")
            for key in scope.keys
        ]


def tabs_of(page: str) -> list[str]:
    nav = re.search(r'<nav class="tabs".*?</nav>', page, re.DOTALL)
    return re.findall(r">([^<]+)</a>", nav[0]) if nav else []


def previewed(app: Application, job: str) -> str:
    dry = submit_run(app, job, {}, actor=ACTOR, mode="dry_run")
    return str(drive_submitted(app, dry, mail=False)["run_id"])


def test_the_preview_of_any_job_has_a_tab_for_each_part_that_there_is(
    app: Application, web: TestClient, visit: Visit, foretold: str
) -> None:
    app.registry.add(Previewing)
    app.registry.add(WithMoney)
    visit("viewer")
    assert tabs_of(web.get(f"/runs/{foretold}/preview").text) == [
        *("All", "By customer", "Schedules", "Usage inputs")
    ]
    plain = web.get(f"/runs/{previewed(app, 'previewing')}/preview").text
    assert tabs_of(plain) == []
    assert re.findall(r"<th[^>]*>([^<]+)</th>", plain) == ["What", "Record", "Customer", "Before", "After"]
    assert "old &lt;b&gt;" in plain
    assert "by: hand" in plain
    money = previewed(app, "with-money")
    assert tabs_of(web.get(f"/runs/{money}/preview").text) == ["All", "By customer", "Invoices"]
    of_customer = web.get(f"/runs/{money}/preview?by=customer").text
    assert [one for one in ("3.00", "9.00", "6.00") if one not in of_customer] == []
    assert "R-1" not in of_customer
    invoices = web.get(f"/runs/{money}/preview?by=other").text
    assert ("R-1" in invoices, "R-2" in invoices, "Customer</td>" in invoices) == (True, True, False)
    nothing = web.get(f"/runs/{money}/preview?by=account").text
    assert "Nothing would change here" in nothing
    assert "By account and month" in tabs_of(nothing)


def test_a_run_that_was_not_dry_has_no_preview_and_nothing_to_apply(
    app: Application, web: TestClient, visit: Visit, drafted: str
) -> None:
    token = visit("operator")
    assert web.get(f"/runs/{drafted}/preview").status_code == 422
    answer = web.post(f"/runs/{drafted}/apply", data={"csrf_token": token, "typed": drafted})
    assert (answer.status_code, "is not a dry run" in answer.text) == (422, True)
    assert len(list_runs(app, actor=ACTOR)) == 1


def test_what_an_unrating_restates_is_told_by_its_preview_and_by_its_page(
    app: Application, web: TestClient, visit: Visit
) -> None:
    with app.database.write() as connection:
        indexed(Contracted(connection))
    rate(app)
    visit("viewer")
    ids = {"usage_input_ids": ["first"]}
    dry = submit_run(app, "usage-unrating", ids, actor=ACTOR, mode="dry_run").run_id
    drive_run(app, dry, actor=ACTOR, mail=False)
    page = web.get(f"/runs/{dry}/preview?by=input").text
    assert page.count('<span class="tag">Restated</span>') == 1
    assert "start earlier in their window" in page
    assert 'id="restated"' not in web.get(f"/runs/{dry}").text
    page = web.get(f"/runs/{unrate(app, ids)['run_id']}").text
    row = page[page.index('id="restated-second"') :].split("</tr>")[0]
    assert "50.00" in row
    assert "80.00" in row
    assert 'id="restated-first"' not in page
