"""The pages of schedules: the list, the form with the times to come, what is done to one, and the hold of all."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
from starlette.testclient import TestClient

from batchwright.console.pages import banners
from batchwright.console.pages.schedule_form import shown_parameters, version_of_terms
from batchwright.console.pages.schedule_words import next_clock_change
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import NotRunCause, ScheduleRequest
from batchwright.engine.store import schedules as store
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.schedules.looking import foresee_times
from batchwright.operations.schedules.schedules import (
    add_schedule,
    list_schedules,
    pause_schedule,
    show_schedule,
    update_schedule,
)
from tests.console.conftest import Visit
from tests.support.application import ACTOR

HOSTILE = "<script>alert(1)</script>"
NEW = {"name": "Nightly", "cron": "0 0 22 ? * *", "job": "draft-usage-rating", "time_zone": "Europe/Berlin"}


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    """What is said on top is read anew by each test."""
    banners.forget()


def make(app: Application, **fields: Any) -> None:
    request = {"name": "Nightly", "cron": "0 0 22 ? * *", "job": "draft-usage-rating", **fields}
    add_schedule(app, ScheduleRequest(**request), actor=ACTOR, from_crontab=True)


def send(web: TestClient, path: str, token: str, **fields: Any) -> Any:
    return web.post(path, data={**fields, "csrf_token": token}, follow_redirects=False)


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found
    return unescape(found[1])


def refusal(page: str) -> tuple[str, str]:
    """What the summary says, and the field that it leads to."""
    found = re.search(r'id="refused">.*?<p>(?:<a href="#([^"]*)">)?(.*?)(?:</a>)?</p>', page, re.DOTALL)
    assert found is not None
    return unescape(found[2]), found[1]


def test_the_list_says_in_words_when_each_fires_by_both_clocks_and_what_becomes_of_what_is_missed(
    app: Application, web: TestClient, visit: Visit
) -> None:
    make(app, time_zone="Europe/Berlin")
    make(app, name="Hourly", cron="@hourly", overlap="queue", misfire="skip")
    visit("viewer")
    page = web.get("/schedules").text
    for said in (
        "At 22:00 every day",
        "22:00</time> <span",
        "20:00</time>",
        "Europe/Berlin",
        "the next one waits",
    ):
        assert said in page, said
    assert page.index(">Hourly<") < page.index(">Nightly<")
    assert "needs the role administrator" in page
    assert "needs the role operator" in page


def test_the_list_is_filtered_sorted_by_the_next_fire_and_paged_in_its_address(
    app: Application, web: TestClient, visit: Visit
) -> None:
    make(app, name="A nightly")
    make(app, name="B hourly", cron="@hourly")
    make(app, name="C paused", cron="@hourly")
    pause_schedule(app, "C paused", actor=ACTOR)
    visit("viewer")
    names = re.compile(r'href="/schedules/[^"]+">([ABC] \w+)<')
    page = web.get("/schedules?by=next").text
    assert names.findall(page) == ["B hourly", "A nightly", "C paused"]
    assert re.findall(r'aria-sort="ascending"><a href="([^"]+)"', page) == ["/schedules?by=next"]
    assert '<th scope="col"><a href="/schedules">Schedule</a>' in page
    assert names.findall(web.get("/schedules?state=paused").text) == ["C paused"]
    first = web.get("/schedules?by=next&limit=1").text
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older is not None
    assert names.findall(web.get(unescape(older[1])).text) == ["A nightly"]
    assert "Clear the filter" in web.get("/schedules?owner=nobody").text
    assert web.get("/schedules?state=broken").status_code == 422


def test_the_form_tells_the_dialect_ten_times_by_both_clocks_and_those_of_the_last_days(
    web: TestClient, visit: Visit
) -> None:
    visit("operator")
    address = "/new-schedule?job=draft-usage-rating&time_zone=Europe/Berlin&cron="
    page = web.get(address + "0 22 * * 1-5").text
    assert "Crontab line" in page
    assert "It would have fired 5 times" in page
    page = web.get(address + "0 30 2 29 3 ? 2026-2027").text
    assert "Salesforce expression" in page
    page = web.get(address + "0 30 2 * * ? *&start=2026-03-28").text
    assert "the clock goes forward by 60 min" in page
    assert page.count("Clock change</span>") == 1
    assert page.count('data-head="In its zone"') == 10
    assert "fires when the gap ends" in page
    page = web.get(address + "0 61 2 * * ?").text
    assert "It would have fired" not in page
    assert 'class="error"' in page


def test_a_schedule_is_offered_no_parameter_that_expires_before_it_fires(
    web: TestClient, visit: Visit
) -> None:
    visit("operator")
    page = web.get("/new-schedule?job=draft-usage-rating").text
    assert "p.asset_line_item_ids" in page
    assert "p.selection_id" not in page
    assert "p.selection_id" in web.get("/jobs/draft-usage-rating/launch").text
    assert web.get("/new-schedule?job=draft-usage-rating&p.selection_id=SEL-1").status_code == 422


def test_a_job_that_needs_another_role_is_listed_with_that_role(web: TestClient, visit: Visit) -> None:
    visit("operator")
    page = web.get("/new-schedule").text
    assert "Needs the role Billing Utilities Admin." in page
    assert "job=data-recalculation" not in page


def test_the_page_of_a_schedule_leads_to_its_times_around_the_next_change_of_its_clock(
    app: Application, web: TestClient, visit: Visit
) -> None:
    make(app, time_zone="Europe/Berlin", cron="0 30 2 ? * MON-FRI")
    make(app, name="By UTC")
    visit("viewer")
    assert "changes next on" not in web.get("/schedules/By%20UTC").text
    found = re.search(
        r'changes next on ([-0-9]+): <a href="([^"#]+)#coming"', web.get("/schedules/Nightly").text
    )
    assert found is not None
    changing = date.fromisoformat(found[1])
    around = web.get(unescape(found[2])).text
    assert f"{changing - timedelta(days=2)}T02:30" in around
    assert f"{changing + timedelta(days=1)}T02:30" in around


@pytest.mark.parametrize(
    ("time_zone", "changes"),
    [("Europe/Berlin", date(2027, 3, 28)), ("America/Sao_Paulo", None), ("UTC", None)],
)
def test_the_next_change_of_a_clock_is_the_day_on_which_its_offset_differs(
    time_zone: str, changes: date | None
) -> None:
    assert next_clock_change(time_zone, date(2026, 11, 29)) == changes


def test_a_look_of_the_script_gets_the_times_alone(web: TestClient, visit: Visit) -> None:
    visit("operator")
    query = {"job": "draft-usage-rating", "cron": "@daily", "name": "half-ty", "mail_owner": "true"}
    region = web.get("/new-schedule", params=query, headers={"X-Live-Region": "region_times"}).text
    assert "At 00:00 every day" in region
    assert "<form" not in region


def test_what_is_too_long_for_an_address_is_shown_with_its_times_all_the_same(
    app: Application, web: TestClient, visit: Visit
) -> None:
    make(app)
    token = visit("operator")
    ids = "\n".join(f"IN-{number:08d}" for number in range(1_000))
    for path in ("/new-schedule", "/schedules/Nightly/edit"):
        shown = send(web, path, token, **NEW, show="1", **{"p.usage_input_ids": ids})
        assert shown.status_code == 200
        assert "At 22:00 every day" in shown.text
        assert "IN-00000999</textarea>" in shown.text


def test_a_schedule_is_made_of_what_is_typed_once_however_often_it_is_sent(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    key = hidden(web.get("/new-schedule?job=draft-usage-rating").text, "form_key")
    fields = {
        **NEW,
        "cron": "0 22 * * 1-5",
        "misfire": "all",
        "cap": "3",
        "end": "2030-01-31",
        "notify": "a@b.c d@e.f",
    }
    for _ in range(2):
        answer = send(web, "/new-schedule", token, **fields, form_key=key)
        assert answer.headers.get("location") == "/schedules/Nightly?done=schedule-added", answer.text
    (made,) = list_schedules(app, actor=ACTOR)
    assert (made["cron"], made["misfire"], made["cap"], made["owner"]) == (
        "0 22 * * 1-5",
        "all",
        3,
        "operator@example.com",
    )
    assert (made["notify"], made["end"]) == (["a@b.c", "d@e.f"], "2030-01-31T22:59:59.000Z")
    page = web.get("/schedules/Nightly").text
    assert "the newest 3 are run, oldest first" in page
    assert "Crontab" in page


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "Taken"}, "name"),
        ({"name": ""}, "name"),
        ({"cron": "0 0 25 ? * *"}, "cron"),
        ({"cron": "0 0 0 30 2 ? *"}, "cron"),
        ({"cron": HOSTILE}, "cron"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"misfire": "some"}, "misfire"),
        ({"cap": "many"}, "cap"),
        ({"cap": "0"}, "cap"),
        ({"start": "soon"}, "start"),
        ({"end": "2001-01-01"}, "cron"),
        ({"notify": "nobody"}, "notify"),
        ({"error_ceiling": "lots"}, "error_ceiling"),
        ({"ping": "ftp://x"}, "ping"),
        ({"p.usage_input_ids": "IN-404"}, "p.usage_input_ids"),
    ],
)
def test_what_is_refused_is_told_at_its_field_in_the_words_of_the_operation_and_typing_stays(
    app: Application, web: TestClient, visit: Visit, wrong: dict[str, str], field: str
) -> None:
    make(app, name="Taken")
    token = visit("operator")
    answer = send(web, "/new-schedule", token, **{**NEW, "reason": "typed text", **wrong})
    assert answer.status_code == 422
    message, at = refusal(answer.text)
    assert at == field, message
    assert 'value="typed text"' in answer.text
    assert HOSTILE not in answer.text
    assert len(list_schedules(app, actor=ACTOR)) == 1
    if field in ("cron", "time_zone", "name", "notify"):
        known: dict[str, Any] = {**NEW, **wrong}
        known["notify"] = known.get("notify", "").split()
        known = {name: value for name, value in known.items() if name in ScheduleRequest.__slots__}
        if "end" not in wrong:
            with pytest.raises(Refused) as refused:
                add_schedule(app, ScheduleRequest(**known), actor=ACTOR, from_crontab=True)
            assert refused.value.message == message


@pytest.mark.parametrize("name", ["usage_input_id", "selection_id"])
def test_a_parameter_that_the_form_does_not_have_is_refused(
    app: Application, web: TestClient, visit: Visit, name: str
) -> None:
    answer = send(web, "/new-schedule", visit("operator"), **NEW, **{f"p.{name}": "IN-00007052"})
    assert answer.status_code == 422
    assert list_schedules(app, actor=ACTOR) == []


def test_a_change_is_made_to_what_was_shown_and_shown_beside_what_somebody_else_made_of_it(
    app: Application, web: TestClient, visit: Visit
) -> None:
    make(app, cap=7, notify=["a@b.c"], cron="@hourly")
    token = visit("operator")
    page = web.get("/schedules/Nightly/edit").text
    assert 'value="@hourly"' in page
    assert 'value="7"' in page
    typed = {
        "cron": "0 0 5 ? * *",
        "job": "draft-usage-rating",
        "cap": "7",
        "expected": hidden(page, "expected"),
    }
    update_schedule(app, "Nightly", {"cap": 9}, actor=ACTOR)
    answer = send(web, "/schedules/Nightly/edit", token, **typed)
    assert answer.status_code == 422
    assert "The current values" in answer.text
    assert show_schedule(app, "Nightly", actor=ACTOR)["cron"] == "@hourly"
    shown = show_schedule(app, "Nightly", actor=ACTOR)
    assert version_of_terms({**shown, "next_fire_at": None}) == version_of_terms(shown)
    again = {**typed, "expected": hidden(answer.text, "expected"), "mail_owner": "false"}
    answer = send(web, "/schedules/Nightly/edit", token, **again)
    assert answer.headers.get("location") == "/schedules/Nightly?done=schedule-changed", answer.text
    shown = show_schedule(app, "Nightly", actor=ACTOR)
    assert (shown["cron"], shown["cap"], shown["notify"], shown["mail_owner"]) == (
        "0 0 5 ? * *",
        7,
        [],
        False,
    )


def test_its_times_from_another_day_show_the_change_of_the_clock_within_its_bounds(
    app: Application, web: TestClient, visit: Visit
) -> None:
    make(app, cron="0 30 2 * * ?", time_zone="Europe/Berlin", start=date(2027, 3, 27), end=date(2027, 3, 29))
    visit("viewer")
    shown = re.compile(r'data-head="In its zone".*?>([0-9-]{10} [0-9:]{5})</time>')
    whole = ["2027-03-27 02:30", "2027-03-28 03:00", "2027-03-29 02:30"]
    for since, times in (("2026-01-01", whole), ("2027-03-28", whole[1:])):
        page = web.get(f"/schedules/Nightly?since={since}").text
        assert shown.findall(page) == times
        assert page.count("Clock change</span>") == 1
        assert f'value="{since}"' in page
    assert shown.findall(web.get("/schedules/Nightly").text) == whole
    assert web.get("/schedules/Nightly?since=soon").status_code == 422


def test_it_is_paused_resumed_run_and_removed_with_the_name_typed(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    make(app, name="A/B &", time_zone="Europe/Berlin")
    token, at = visit("operator"), "/schedules/A/B%20%26"
    for act in ("pause", "resume"):
        question = web.get(f"{at}/{act}")
        assert question.status_code == 200
        assert not re.search(r"<dd>[0-9-]+T[0-9:.]+Z", question.text)
        answer = send(web, f"{at}/{act}", token, reason="why not")
        assert answer.headers.get("location") == f"{at}?done=schedule-{act}d", answer.text
    assert refusal(send(web, f"{at}/resume", token).text)[0] == "the schedule 'A/B &' is not paused"
    answer = send(web, f"{at}/run-now", token)
    (run,) = list_runs(app, actor=ACTOR)
    assert answer.headers["location"] == f"/runs/{run['run_id']}?done=schedule-run"
    assert run["trigger"] == "console"
    assert send(web, f"{at}/remove", token, typed="A").status_code == 422
    assert (
        send(web, f"{at}/remove", token, typed="A/B &").headers["location"]
        == "/schedules?done=schedule-removed"
    )
    acts = [entry["act"] for entry in list_audit(app, actor=ACTOR) if entry["act"].startswith("schedule")]
    assert {"schedule.pause", "schedule.resume", "schedule.remove"} <= set(acts)


def test_a_backfill_shows_its_times_and_submits_just_those(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    make(app)
    today = app.clock.now().date()
    window = {"since": str(today - timedelta(days=3)), "until": str(today - timedelta(days=1))}
    token = visit("operator")
    page = web.get("/schedules/Nightly/backfill", params=window).text
    assert "3 runs will be submitted" in page
    assert "Why it was not run" in page
    typed = {**window, "expected": hidden(page, "expected")}
    assert list_runs(app, actor=ACTOR) == []
    answer = send(web, "/schedules/Nightly/backfill", token, **typed, reason="lost days")
    assert answer.headers.get("location") == "/schedules/Nightly/fires?done=schedule-backfilled", answer.text
    assert len(list_runs(app, actor=ACTOR)) == 3
    fires = web.get("/schedules/Nightly/fires").text
    assert fires.count('href="/runs/JR-') == 3
    assert "In its zone" in fires
    answer = send(web, "/schedules/Nightly/backfill", token, **typed)
    assert answer.status_code == 422
    assert len(list_runs(app, actor=ACTOR)) == 3
    answer = web.get("/schedules/Nightly/backfill", params={"since": "soon", "until": "2026-01-01"})
    assert (answer.status_code, refusal(answer.text)[1]) == (422, "since")


def test_a_hold_of_all_is_told_on_every_page_until_it_is_released(
    app: Application, web: TestClient, visit: Visit
) -> None:
    make(app)
    token = visit("administrator")
    assert "Nightly" in web.get("/hold-schedules").text
    assert send(web, "/hold-schedules", token).headers["location"] == "/schedules?done=schedules-held"
    assert "All schedules are held since" in web.get("/jobs").text
    page = web.get("/schedules").text
    assert "Release all" in page
    assert "<span>Held</span>" in page
    assert send(web, "/hold-schedules", token).status_code == 422
    assert send(web, "/release-schedules", token).headers["location"] == "/schedules?done=schedules-released"
    assert "All schedules are held since" not in web.get("/jobs").text


@pytest.mark.parametrize(
    ("zone", "start", "change"),
    [
        ("Europe/Berlin", "2026-10-25", "the clock goes back by 60 min"),
        ("Australia/Lord_Howe", "2026-10-04", "the clock goes forward by 30 min"),
        ("UTC", "2026-10-25", None),
    ],
)
def test_days_on_which_the_clock_changes_are_marked(
    app: Application, caller: Any, zone: str, start: str, change: str | None
) -> None:
    times = foresee_times(app, "0 0 12 * * ?", zone, start=date.fromisoformat(start), actor=ACTOR)["times"]
    assert [one["clock_change"] for one in times] == [change, *[None] * 9]


def test_a_secret_parameter_is_not_shown_and_of_a_job_that_is_gone_nothing_is() -> None:
    schema = {"properties": {"key": {"type": "string", "format": "password"}, "plain": {"type": "string"}}}
    given = {"key": "hunter2", "plain": "word"}
    shown = shown_parameters({"parameters": schema}, given)
    assert shown is not None
    assert "hunter2" not in shown
    assert "word" in shown
    assert "word" not in (shown_parameters(None, given) or "")


def test_times_are_foreseen_from_the_last_day_there_is_and_the_first_is_refused(
    app: Application, caller: Any
) -> None:
    times = foresee_times(app, "0 0 12 * * ?", start=date.max, actor=ACTOR)
    assert (times["times"], times["past_count"]) == ([], 0)
    times = foresee_times(app, "0 0 12 * * ?", start=date(3, 1, 1), actor=ACTOR)
    assert (len(times["times"]), times["past_count"]) == (10, 7)
    with pytest.raises(Refused, match="beyond all times"):
        foresee_times(app, "0 0 12 * * ?", start=date.min, actor=ACTOR)


def test_what_a_clock_that_was_ahead_recorded_is_told_in_numbers_and_left_behind(
    app: Application, web: TestClient, visit: Visit
) -> None:
    make(app)
    token = visit("operator")
    assert "fires nothing until" not in web.get("/schedules/Nightly").text
    now = app.clock.now()
    to_come = now + timedelta(days=90)
    with app.database.write() as connection:
        (one,) = store.all_schedules(connection)
        fire = store.Fire(to_come, to_come, 1, "not_run", cause=NotRunCause.PAUSED, reason="paused")
        store.insert_fires(connection, [(one.id, fire)], now)
        store.mark_recorded(connection, {one.id: to_come})
    assert 'href="/schedules/Nightly/rewind"' in web.get("/schedules/Nightly").text
    question = web.get("/schedules/Nightly/rewind").text
    shown = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", question))
    assert shown["Records of times to come that are taken away"] == "1"
    assert shown["Runs of such times, which stay"] == "0"
    answer = send(web, "/schedules/Nightly/rewind", token, reason="the clock was wrong")
    assert answer.headers["location"] == "/schedules/Nightly?done=schedule-rewound"
    assert "fires nothing until" not in web.get("/schedules/Nightly").text
    again = send(web, "/schedules/Nightly/rewind", token)
    assert (again.status_code, refusal(again.text)[0]) == (
        422,
        "nothing is recorded ahead of the clock of 'Nightly'",
    )


def test_a_name_that_ends_like_a_page_is_another_schedule_than_that_page(
    app: Application, web: TestClient, visit: Visit
) -> None:
    for name in ("A", "A/fires"):
        make(app, name=name)
    visit("viewer")
    titles = [
        re.findall("<title>(.*?)</title>", web.get(f"/schedules/{path}").text)[0]
        for path in ("A%2Ffires", "A/fires", "A%2Ffires/fires")
    ]
    assert ["A/fires" in title for title in titles] == [True, False, True]
