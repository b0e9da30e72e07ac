"""The run queue and log, and the page of a run."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import pytest
from starlette.testclient import TestClient

from batchwright.engine.job import BatchJob, Record, Scope, StartContext
from batchwright.operations.app import Application
from batchwright.operations.idempotency import Key, StillAtWork
from batchwright.operations.runs.controls import abort_run, hold_run, pause_run
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import list_runs, show_run
from batchwright.operations.runs.submitting import RunTerms, submit_run
from batchwright.operations.runs.waiting import list_waiting
from tests.console.conftest import Visit
from tests.support.application import ACTOR

JOB = "draft-usage-rating"
OTHER: RunTerms = {"reason": "Other", "explanation": "The price of <b>March</b> was wrong"}


@pytest.fixture
def waiting(app: Application, seed: None) -> list[str]:
    """Seven runs that wait: five in slots, two in line."""
    return [submit(app) for _ in range(7)]


@pytest.fixture
def done(app: Application, seed: None) -> str:
    """A run that has completed."""
    return str(drive_submitted(app, submit_run(app, JOB, {}, actor=ACTOR, **OTHER), mail=False)["run_id"])


def submit(app: Application, **terms: Any) -> str:
    return submit_run(app, JOB, {}, actor=ACTOR, **terms).run_id


def texts(html: str, tag: str) -> list[str]:
    """What stands in each element of a tag, without markup."""
    found = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", html, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", one).split()) for one in found]


def test_the_log_has_the_columns_of_the_vendor_in_their_order(
    web: TestClient, visit: Visit, done: str
) -> None:
    visit("viewer")
    page = web.get("/runs").text
    assert texts(page, "th") == [
        *("Job ID", "Type", "Status", "Customer", "Period", "Reason", "Actor", "Started UTC", "Duration")
    ]
    assert [done, "Draft usage rating"] == texts(page, "td")[:2]


@pytest.mark.on_both
def test_the_queue_stands_above_the_log_with_places_and_what_each_waits_for(
    app: Application, web: TestClient, visit: Visit, waiting: list[str], done: str
) -> None:
    visit("viewer")
    page = web.get("/runs").text
    assert page.index('id="queue"') < page.index(waiting[0]) < page.index('id="log"') < page.index(done)
    assert [(run["place"], run["why"]) for run in list_waiting(app, actor=ACTOR)] == [
        *((None, "no worker is there") for _ in range(5)),
        (1, "no worker is there"),
        (2, "no worker is there"),
    ]


def test_a_paused_run_says_so_in_the_queue(app: Application, waiting: list[str]) -> None:
    pause_run(app, waiting[6], actor=ACTOR)
    whys = {run["run_id"]: run["why"] for run in list_waiting(app, actor=ACTOR)}
    assert whys[waiting[6]] == "paused, until somebody resumes it"


def test_the_log_follows_what_happens_only_while_something_waits_or_runs(
    app: Application, web: TestClient, visit: Visit, done: str
) -> None:
    visit("viewer")
    assert "data-live" not in web.get("/runs").text
    run_id = submit(app)
    assert "data-live" in web.get("/runs").text
    abort_run(app, run_id, actor=ACTOR)
    assert "data-live" not in web.get("/runs").text


def test_the_badge_of_a_failed_run_opens_its_error_and_the_reason_other_its_text(
    app: Application, web: TestClient, visit: Visit, done: str
) -> None:
    run_id = submit(app)
    abort_run(app, run_id, actor=ACTOR)
    visit("viewer")
    page = web.get("/runs").text
    assert f'href="/runs/{run_id}/error" data-dialog' in page
    assert f'href="/runs/{done}/reason" data-dialog' in page
    assert "aborted by dana@example.com" in web.get(f"/runs/{run_id}/error").text
    assert "The price of &lt;b&gt;March&lt;/b&gt; was wrong" in web.get(f"/runs/{done}/reason").text


def test_the_filter_is_in_the_address_and_what_it_leaves_out_is_said(
    web: TestClient, visit: Visit, done: str
) -> None:
    visit("viewer")
    assert done in web.get("/runs?status=Complete&from=2020-01-01&errors=false").text
    page = web.get("/runs?status=Failed").text
    assert "No run matches the filter" in page


def test_a_filter_that_is_refused_keeps_what_was_typed(web: TestClient, visit: Visit, done: str) -> None:
    visit("viewer")
    for query, field in (("status=Nonsense", "status"), ("period=10/23&actor=dana", "period")):
        answer = web.get(f"/runs?{query}")
        assert answer.status_code == 422
        assert f'<a href="#{field}">' in answer.text
        assert done not in answer.text
    assert 'name="actor" type="text" value="dana"' in answer.text
    for query, told in (
        ("statos=Failed", "no parameter statos"),
        ("from=yesterday", "From: write it as YYYY-"),
    ):
        answer = web.get(f"/runs?{query}")
        assert (answer.status_code, told in answer.text) == (422, True)
        assert 'href="/runs">Open the page without its filter' in answer.text


def test_a_list_is_read_on_by_its_link_and_every_run_comes_once(
    app: Application, web: TestClient, visit: Visit, seed: None
) -> None:
    made = [submit(app) for _ in range(5)]
    for run_id in made:
        abort_run(app, run_id, actor=ACTOR, mail=False)
    visit("viewer")
    seen: list[str] = []
    there = "/runs?limit=2"
    while there:
        page = web.get(there).text
        seen += [one for one in texts(page, "td") if one.startswith("JR-")]
        older = re.search(r'href="([^"]+)" rel="next"', page)
        there = older[1].replace("&amp;", "&") if older else ""
    assert seen == made[::-1]


@pytest.mark.parametrize(("act", "status"), [("abort", "Aborted"), ("pause", "Paused"), ("hold", "Paused")])
def test_a_run_is_steered_by_the_form_that_asks_before(
    app: Application, web: TestClient, visit: Visit, seed: None, act: str, status: str
) -> None:
    run_id = submit(app)
    token = visit("administrator")
    question = web.get(f"/runs/{run_id}/{act}").text
    assert f'action="/runs/{run_id}/{act}"' in question
    assert show_run(app, run_id, actor=ACTOR)["status"] == "Holding"
    form = {"csrf_token": token, "expected": "Holding", "reason": "Because"}
    answer = web.post(f"/runs/{run_id}/{act}", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"][:17]) == (303, f"/runs/{run_id}")
    assert show_run(app, run_id, actor=ACTOR)["status"] == status
    web.post(f"/runs/{run_id}/resume", data={"csrf_token": token})
    assert show_run(app, run_id, actor=ACTOR)["status"] == ("Aborted" if act == "abort" else "Queued")


@pytest.mark.on_both
def test_a_run_is_moved_in_its_line(
    app: Application, web: TestClient, visit: Visit, waiting: list[str]
) -> None:
    token = visit("operator")
    first, *rest, last = waiting
    there = f"/runs/{last}/move"
    web.post(there, data={"csrf_token": token, "place": "front"})
    assert [run["run_id"] for run in list_waiting(app, actor=ACTOR)] == [last, first, *rest]
    web.post(there, data={"csrf_token": token, "place": "after", "other": first})
    assert [run["run_id"] for run in list_waiting(app, actor=ACTOR)] == [first, last, *rest]
    answer = web.post(there, data={"csrf_token": token, "place": "before", "other": "JR-99999999"})
    assert answer.status_code == 422
    assert "there is no run" in answer.text
    assert 'value="JR-99999999"' in answer.text


def test_an_act_on_a_run_that_is_not_as_it_was_shown_is_asked_again_with_what_is_now(
    app: Application, web: TestClient, visit: Visit, seed: None
) -> None:
    run_id = submit(app)
    token = visit("operator")
    pause_run(app, run_id, actor=ACTOR)
    form = {"csrf_token": token, "expected": "Holding", "reason": "typed &amp; kept"}
    answer = web.post(f"/runs/{run_id}/abort", data=form)
    assert answer.status_code == 422
    assert "was Holding when this was asked, and is Paused now" in answer.text
    assert 'value="typed &amp;amp; kept"' in answer.text
    assert show_run(app, run_id, actor=ACTOR)["status"] == "Paused"


def test_an_act_that_nobody_may_or_can_do_is_not_asked_for(
    app: Application, web: TestClient, visit: Visit, waiting: list[str], done: str
) -> None:
    hold_run(app, waiting[0], actor=ACTOR)
    visit("operator")
    needs = 'aria-disabled="true" title="Needs the role administrator">Resume'
    assert needs in web.get(f"/runs/{waiting[0]}").text
    assert web.get(f"/runs/{waiting[0]}/resume").status_code == 403
    for act, why in (
        ("abort", "The run is Completed"),
        ("retry", "nothing to retry"),
        ("pause", "Completed"),
    ):
        page = web.get(f"/runs/{done}/{act}").text
        assert why in page
        assert f'action="/runs/{done}/{act}"' not in page
    visit("administrator")
    assert "Resume" in web.get(f"/runs/{waiting[0]}/resume").text


def test_a_retry_that_is_clicked_twice_is_one_run(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    run_id = drive_submitted(app, submit_run(app, JOB, {}, actor=ACTOR), mail=False)["run_id"]
    token = visit("operator")
    question = web.get(f"/runs/{run_id}/retry").text
    key = re.search(r'name="form_key" value="([^"]+)"', question)
    assert key is not None
    form = {"csrf_token": token, "form_key": key[1], "expected": "Completed"}
    answers = [web.post(f"/runs/{run_id}/retry", data=form, follow_redirects=False) for _ in range(2)]
    assert [one.status_code for one in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert len(list_runs(app, actor=ACTOR)) == 2
    answer = web.post(f"/runs/{run_id}/retry", data=form | {"reason": "Once more"}, follow_redirects=False)
    assert (answer.status_code, "sent before with something else in it" in answer.text) == (422, True)
    assert len(list_runs(app, actor=ACTOR)) == 2


def test_an_abort_that_is_clicked_twice_is_answered_twice_as_done(
    web: TestClient, visit: Visit, waiting: list[str]
) -> None:
    token = visit("operator")
    question = web.get(f"/runs/{waiting[0]}/abort").text
    form = dict(re.findall(r'name="(form_key|expected)" value="([^"]+)"', question.partition("<main")[2]))
    answers = [
        web.post(f"/runs/{waiting[0]}/abort", data=form | {"csrf_token": token}, follow_redirects=False)
        for _ in range(2)
    ]
    assert [one.status_code for one in answers] == [303, 303]
    assert len({one.headers["Location"] for one in answers}) == 1


@pytest.mark.parametrize("run_id", ["JR-00000008", None])
def test_a_form_that_is_sent_again_while_its_act_is_at_work_leads_to_that(
    web: TestClient, visit: Visit, done: str, monkeypatch: pytest.MonkeyPatch, run_id: str | None
) -> None:
    def at_work(app: Application, key: Key, *_: object) -> NoReturn:
        raise StillAtWork(key, run_id)

    token = visit("operator")
    monkeypatch.setattr("batchwright.console.pages.visit.answer_once", at_work)
    form = {"csrf_token": token, "form_key": "a"}
    answer = web.post(f"/runs/{done}/retry", data=form, follow_redirects=False)
    if run_id is not None:
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/runs/{run_id}")
    else:
        assert (answer.status_code, "is at work" in answer.text) == (422, True)


def test_a_run_that_was_aborted_says_that_a_retry_does_what_it_did_not_reach(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    looks = iter(range(9))
    submitted = submit_run(app, JOB, {}, actor=ACTOR, claim=True, scope_size=1)
    drive_submitted(app, submitted, stop=lambda: next(looks) > 3, mail=False)
    abort_run(app, submitted.run_id, actor=ACTOR, mail=False)
    visit("viewer")
    assert show_run(app, submitted.run_id, actor=ACTOR)["not_reached"]
    assert texts(web.get(f"/runs/{submitted.run_id}").text, "td")[-1] == "Retry does these."


class Refusing(BatchJob):
    """Its one record is bad, and it does not say how that is retried."""

    name, type = "refusing", "Refusing"

    def start(self, context: StartContext) -> list[Record]:
        return [Record(1)]

    def execute(self, scope: Scope) -> None:
        scope.error(1, "bad", "It is bad")


def test_a_retry_of_a_job_that_has_none_is_disabled_and_says_why(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    app.registry.add(Refusing)
    no, yes = (
        drive_submitted(app, submit_run(app, job, {}, actor=ACTOR), mail=False)["run_id"]
        for job in ("refusing", JOB)
    )
    visit("operator")
    page = web.get(f"/runs/{no}").text
    assert 'aria-disabled="true" title="Refusing does not say how it is retried">Retry' in page
    assert f'href="/runs/{no}/retry"' not in page
    assert f'href="/runs/{yes}/retry"' in web.get(f"/runs/{yes}").text
    both = web.get(f"/ticked-runs?act=retry&run_id={no}&run_id={yes}").text
    assert "Refusing does not say how it is retried" in both
    assert texts(both, "dd")[2:] == ["asset line item", "1 run"]
    assert "not retried" in web.get("/jobs").text


def test_who_may_not_act_sees_the_button_disabled_with_the_role_it_needs(
    web: TestClient, visit: Visit, waiting: list[str]
) -> None:
    visit("viewer")
    page = web.get(f"/runs/{waiting[0]}").text
    assert 'aria-disabled="true" title="Needs the role operator">Abort' in page
    assert f'href="/runs/{waiting[0]}/abort"' not in page


def test_the_page_of_a_run_shows_its_outcomes_by_code_with_what_to_do(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    run_id = drive_submitted(app, submit_run(app, JOB, {}, actor=ACTOR), mail=False)["run_id"]
    visit("viewer")
    page = web.get(f"/runs/{run_id}").text
    assert "Import one (prices.csv)" in page
    assert f'href="/runs/{run_id}/outcomes?outcome=error&amp;code=no_price"' in page
    assert "batchwright run draft-usage-rating" in page
    assert "data-live" not in page


def test_a_run_that_there_is_not_is_told_as_a_page(web: TestClient, visit: Visit) -> None:
    visit("viewer")
    for path in ("/runs/JR-99999999", "/runs/JR-99999999/error", "/runs/..%2f..%2fetc"):
        assert web.get(path).status_code == 404, path


def test_many_runs_are_aborted_by_one_confirmation_that_tells_what_each_answered(
    app: Application, web: TestClient, visit: Visit, waiting: list[str], done: str
) -> None:
    first, second, third, *others = waiting
    token = visit("operator")
    page = web.get("/runs").text
    assert all(f'name="run_id" value="{one}" form="ticked"' in page for one in (*waiting, done))
    ticked = "&".join(f"run_id={one}" for one in (first, second, third, done))
    question = web.get(f"/ticked-runs?{ticked}&act=abort").text
    assert "Abort 4 runs?" in question
    assert "The run is Completed" in question
    runs = re.findall(r'name="run" value="([^"]+)"', question)
    pause_run(app, second, actor=ACTOR)
    key = re.search(r'name="form_key" value="([^"]+)"', question)
    assert key is not None
    form = {"csrf_token": token, "form_key": key[1], "act": "abort", "run": runs, "reason": "Wrong month"}
    answers = [texts(web.post("/ticked-runs", data=form).text, "td") for _ in range(2)]
    assert answers[0] == answers[1]
    found = {answers[0][at]: answers[0][at + 1 : at + 3] for at in range(0, len(answers[0]), 3)}
    assert [found[one][0] for one in (first, second, third, done)] == ["Done", "Refused", "Done", "Refused"]
    assert "was Queued when this was asked, and is Paused now" in found[second][1]
    states = {run["run_id"]: run["status"] for run in list_runs(app, actor=ACTOR)}
    assert [states[one] for one in (first, second, third, done)] == [
        *("Aborted", "Paused", "Aborted", "Completed")
    ]
    assert {states[one] for one in others} <= {"Holding", "Queued"}


def test_many_runs_are_retried_each_by_a_run_of_its_own(
    app: Application, web: TestClient, visit: Visit, company: None
) -> None:
    ended = [drive_submitted(app, submit_run(app, JOB, {}, actor=ACTOR), mail=False)["run_id"] for _ in "ab"]
    token = visit("operator")
    question = web.get(f"/ticked-runs?act=retry&run_id={ended[0]}&run_id={ended[1]}").text
    assert "All other records of their assets are done, too, and their draft amounts overwritten." in question
    assert texts(question, "dd")[2] == "asset line item"
    form = {
        "csrf_token": token,
        "act": "retry",
        "run": [f"{one} Completed" for one in ended],
        "dry_run": "true",
    }
    page = web.post("/ticked-runs", data=form).text
    assert "2 done, 0 refused" in page
    parents = {run["parent_run_id"]: run["mode"] for run in list_runs(app, actor=ACTOR)}
    assert {parents[one] for one in ended} == {"dry_run"}


def test_no_run_ticked_and_a_viewer_who_may_tick_none(
    web: TestClient, visit: Visit, waiting: list[str]
) -> None:
    visit("operator")
    answer = web.get("/ticked-runs?act=abort")
    assert (answer.status_code, "No run was ticked" in answer.text) == (422, True)
    visit("viewer")
    page = web.get("/runs").text
    assert 'type="checkbox" name="run_id"' not in page
    assert 'value="abort" disabled title="Needs the role operator"' in page
