"""The page of a file of schedules: the plan, what cannot be used by line, and doing just what was shown."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from batchwright.engine.errors import Refused
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.confirming import GOOD_FOR
from batchwright.operations.app import Application
from batchwright.operations.schedules.files import apply_schedules
from batchwright.operations.schedules.schedules import list_schedules, update_schedule
from batchwright.testing.clock import StandingClock
from tests.console.conftest import Visit
from tests.support.application import ACTOR, NOW

PATH = "/apply-schedules"
FILE = '@daily "A" draft-usage-rating\n15 2 * * 0 "B" usage-rating --cap 3\n'
OTHER = '@hourly "A" draft-usage-rating\n@daily "C <b>" usage-rating\n'


def names(app: Application) -> list[str]:
    return [schedule["name"] for schedule in list_schedules(app)]


def sent(web: TestClient, token: str, **fields: Any) -> Response:
    return web.post(PATH, data={**fields, "csrf_token": token}, follow_redirects=False)


def plan_of(page: str) -> dict[str, str]:
    """The fields of the form that applies what is shown; empty where there is none."""
    form = page.partition('id="plan"')[2].partition("</section>")[0]
    return {
        name: unescape(value)
        for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    }


@pytest.fixture
def there(app: Application) -> None:
    """The schedules of `FILE`."""
    apply_schedules(app, FILE, file="crontab", actor=ACTOR)


@pytest.mark.usefixtures("there")
def test_the_plan_has_every_change_of_every_field_and_is_done_as_it_was_shown(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    page = sent(web, token, text=OTHER.replace("\n", "\r\n")).text
    assert "Not applied yet: 1 added, 1 changed, 0 removed, 0 unchanged" in page
    assert "<del>@daily</del> <ins>@hourly</ins>" in page
    assert "null" not in page.partition('id="plan"')[2].partition("</table>")[0]
    assert "C &lt;b&gt;" in page
    assert "<dt>" not in page.partition("C &lt;b&gt;")[2].partition("</tr>")[0]
    assert "they stay: B." in page
    assert names(app) == ["A", "B"]
    done = sent(web, token, **plan_of(page), reason="as agreed")
    assert done.headers["location"] == "/schedules?done=schedules-applied"
    assert names(app) == ["A", "B", "C <b>"]
    [entry] = list_audit(app, limit=1)
    assert (entry["act"], entry["reason"], entry["after"]["file"]) == (
        "schedule.apply",
        "as agreed",
        "console",
    )
    again = sent(web, token, text=OTHER).text
    assert "No change" in again
    assert plan_of(again) == {}


def test_the_plan_has_each_term_of_what_is_added_that_is_not_the_default(
    web: TestClient, visit: Visit
) -> None:
    line = '@daily "A" draft-usage-rating --include-rated --misfire all --no-mail --owner dana'
    page = unescape(sent(web, visit("operator"), text=f"{line} --end 2030-02-01").text)
    terms = re.findall(r"<dt>(\w+)</dt><dd><ins>([^<]*)</ins>", page)
    assert [(name, re.sub(r"\s+", " ", value)) for name, value in terms] == [
        ("parameters", '{ "include_rated": true }'),
        ("owner", "dana"),
        ("misfire", "all"),
        ("end", "2030-02-01T23:59:59.000Z"),
        ("mail_owner", "false"),
    ]


def test_a_file_that_is_uploaded_goes_before_what_is_pasted_and_names_itself_in_the_trail(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    uploaded = {"file": ("nightly.crontab", FILE.encode("utf-8-sig"))}
    page = web.post(PATH, data={"csrf_token": token, "text": "nonsense"}, files=uploaded).text
    assert "2 added" in page
    sent(web, token, **plan_of(page))
    assert next(list_audit(app, limit=1))["after"]["file"] == "nightly.crontab"
    latin = web.post(PATH, data={"csrf_token": token}, files={"file": ("a", "ä".encode("latin-1"))})
    assert (latin.status_code, "is not UTF-8 text (byte 1)" in latin.text) == (422, True)


@pytest.mark.usefixtures("there")
def test_what_became_something_else_since_it_was_shown_is_shown_anew_and_not_done(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    shown = plan_of(sent(web, token, text=OTHER).text)
    update_schedule(app, "A", {"cap": 7}, actor=ACTOR)
    answer = sent(web, token, **shown)
    assert answer.status_code == 422
    assert "became something else after this was shown" in answer.text
    assert "<del>7</del> <ins>24</ins>" in answer.text
    assert names(app) == ["A", "B"]
    assert sent(web, token, **plan_of(answer.text)).status_code == 303


def test_lines_that_cannot_be_used_are_told_by_number_and_field_as_the_command_tells_them(
    app: Application, web: TestClient, visit: Visit
) -> None:
    text = '@dayly "A" usage-rating\n\n@daily "B" usage-rating --grace <i>\n@daily "A <b>" nothing\n'
    with pytest.raises(Refused) as refused:
        apply_schedules(app, text, file="console", actor=ACTOR)
    answer = sent(web, visit("operator"), text=text)
    assert answer.status_code == 422
    rows = re.findall(
        r'data-head="Line".*?<div>(\d+)<.*?<code>([^<]*)<.*?<div>([^<]*)<', answer.text, re.DOTALL
    )
    told = [f"line {line}: {unescape(message)} ({field})" for line, field, message in rows]
    assert len(told) == 3
    for said, line in zip(told, refused.value.message.splitlines(), strict=True):
        assert line.startswith(said)
    assert unescape(answer.text.partition("<textarea")[2]).partition(">\n")[2].startswith(text)
    assert names(app) == []


@pytest.mark.usefixtures("there")
def test_what_removes_schedules_asks_for_the_password_again_and_nothing_else_of_it_does(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    app.clock = StandingClock(NOW + GOOD_FOR)
    added = plan_of(sent(web, token, text=OTHER).text)
    assert sent(web, token, **added).status_code == 303
    page = sent(web, token, text=OTHER, prune="true").text
    assert "Apply and remove 1 schedule" in page
    answer = sent(web, token, **plan_of(page))
    assert (answer.status_code, "Confirm it is you" in answer.text) == (422, True), (
        "nobody has a password here"
    )
    assert names(app) == ["A", "B", "C <b>"]


@pytest.mark.usefixtures("there")
def test_neither_an_empty_file_nor_one_without_a_schedule_prunes_all(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    for text, said in (("", "no file was chosen"), ("# nothing", "names no schedule")):
        answer = sent(web, token, text=text, prune="true")
        assert (answer.status_code, said in answer.text) == (422, True)
    assert names(app) == ["A", "B"]


def test_a_job_that_somebody_may_not_run_is_not_applied_by_them(web: TestClient, visit: Visit) -> None:
    line = '@daily "R" data-recalculation --customer C-1001 --period 2023-06 --reason Other --explanation x'
    assert sent(web, visit("operator"), text=line).status_code == 403
