"""The jobs, and the form that launches one: for every type of a parameter, and beside the command and the API."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from enum import IntEnum
from html import unescape
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.testclient import TestClient

from batchwright.billing.recalculation import EXPLANATION
from batchwright.cli.commands.run import run
from batchwright.cli.main import main
from batchwright.console.pages.launching import fields_of
from batchwright.engine import BatchJob, Record, Scope
from batchwright.engine.job import StartContext
from batchwright.operations.access.permissions import ROLES
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.recalculation import recalculation_offer
from batchwright.operations.runs import foreseeing
from batchwright.operations.runs.jobs import list_jobs, show_job
from batchwright.operations.runs.looking import list_runs, show_run
from batchwright.operations.runs.submitting import submit_run
from tests.console.conftest import Caller, Visit
from tests.support.application import ACTOR
from tests.support.rungs import depth

HOSTILE = '"><script>alert(1)</script>'
JOB = "every-kind"


class Grade(IntEnum):
    """Whole numbers to choose from."""

    LOW = 1
    HIGH = 2


class Size(BaseModel):
    """An object."""

    width: int


class Odd:
    """What JSON knows nothing of."""


class EveryKind(BaseModel):
    """A parameter of every kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    day: date = Field(description=f"The day. {HOSTILE}", title=HOSTILE)
    count: int = Field(default=9, ge=1, lt=100)
    share: float | None = None
    stamp: Decimal = Decimal("0.80")
    since: AwareDatetime | None = None
    kind: Literal["plain", "express"] = "plain"
    letter: Literal["a", "b", "c", "d", "e", "f"] | None = None
    grade: Grade = Grade.LOW
    dry: bool = False
    loud: bool = True
    sure: bool | None = None
    names: list[str] | None = None
    numbers: list[int] | None = None
    colours: list[Literal["red", "green"]] | None = None
    size: Size | None = None
    password: str | None = Field(None, json_schema_extra={"format": "password"})
    pair: tuple[int, str] | None = None
    either: int | date | None = None
    search: str | None = Field(None, pattern="[a-z]+")
    main: str = "x"
    odd: Odd | None = None


class EveryKindJob(BatchJob):
    """Takes a parameter of every kind."""

    name = JOB
    type = f"Every kind {HOSTILE}"
    Parameters = EveryKind

    def start(self, context: StartContext) -> Iterable[Record]:
        return [Record(key) for key in range(3)]

    def count(self, context: StartContext, at_most: int) -> int:
        return 12_431

    def execute(self, scope: Scope) -> None:
        """Nothing."""


LISTS = ("names", "numbers", "colours", "pair")
GOOD = {"day": ["2023-06-30"]}
BAD: list[dict[str, list[str]]] = [
    {},
    *({"day": [value]} for value in ("2023-06-31", "yesterday", "30.06.2023", "-", "2023-06-30T25:00")),
    *(GOOD | {"count": [value]} for value in ("0", "100", "many", "1.5", "-3", "1e3", "9" * 400, HOSTILE)),
    *(GOOD | {"share": [value]} for value in ("half", "1,5", "0x1")),
    *(GOOD | {"stamp": [value]} for value in ("cheap", "0,80", "NaN", "Infinity")),
    *(GOOD | {"since": [value]} for value in ("2026-01-31T08:61Z", "soon", "2026-01-31T08:00:00+99:00")),
    *(GOOD | {"kind": [value]} for value in ("slow", "Plain", HOSTILE)),
    *(GOOD | {"letter": [value]} for value in ("g", "A")),
    *(GOOD | {"grade": [value]} for value in ("3", "LOW")),
    *(GOOD | {"dry": [value]} for value in ("maybe", "2")),
    *(GOOD | {"sure": [value]} for value in ("perhaps", "yess")),
    *(GOOD | {"numbers": values} for values in (["1", "x"], ["1.5"], ["1", "2", "three"])),
    *(GOOD | {"colours": values} for values in (["blue"], ["red", "blue"], ["Red"])),
    *(GOOD | {"size": [value]} for value in ("3x", "{", "[1]", "{}", '{"width": "wide"}', '{"width": 1')),
    *(GOOD | {"pair": [value]} for value in ("1", "x")),
    *(GOOD | {"either": [value]} for value in ("x", "1.5")),
    *(GOOD | {"search": [value]} for value in ("1", "!")),
]


@pytest.fixture
def app(app: Application) -> Application:
    """With a job whose parameters are of every kind."""
    app.registry.get("usage-rating")
    app.registry.add(EveryKindJob)
    return app


def typed(values: dict[str, list[str]]) -> dict[str, Any]:
    """The fields of the form with these values in them."""
    lines = ("names", "numbers", "pair")
    return {f"p.{name}": "\n".join(texts) if name in lines else texts for name, texts in values.items()}


def said(page: str) -> str:
    """What a page says in its summary of errors, as a person reads it."""
    found = re.search(r'id="refused">.*?<p>(.*?)</p>', page, re.DOTALL)
    assert found is not None, page
    return unescape(re.sub(r"<[^>]+>", "", found[1]))


def texts_of_command(values: dict[str, list[str]]) -> Iterator[str]:
    for name, texts in values.items():
        for text in texts:
            yield from ("--param", f"{name}={text}")


@pytest.fixture
def command(app: Application, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Types `batchwright run` of the job and gives the refusal as JSON."""
    url = app.database.url.render_as_string(hide_password=False)
    for name, value in {
        "DATABASE_URL": url,
        "EXECUTOR": "inline",
        "JOBS": f"{__name__}:EveryKindJob",
    }.items():
        monkeypatch.setenv(f"BATCHWRIGHT_{name}", value)

    def typed_command(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(main, [*words, "--json"])
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return typed_command


def test_bad_parameters_are_refused_alike_by_the_form_the_command_and_the_api(
    app: Application, web: TestClient, visit: Visit, caller: Caller, command: Any
) -> None:
    token, headers = visit("operator"), caller("operator")
    assert len(BAD) >= 50
    differ = []
    for values in BAD[:: depth(5, 1)]:
        given = {name: [text for text in texts if text] for name, texts in values.items()}
        data = typed(values) | {"csrf_token": token}
        page = web.post(f"/jobs/{JOB}/launch", data=data, follow_redirects=False)
        message = said(page.text) if page.status_code == 422 else str(page.status_code)
        by_command = command("run", JOB, *texts_of_command(given), "--enqueue").get("error") or {}
        if message != by_command.get("message"):
            differ.append((values, message, by_command))
        assert HOSTILE not in page.text
        parameters = {name: texts if name in LISTS else texts[0] for name, texts in given.items()}
        if "size" in parameters:  # an object is one in the body there, whose JSON is read before
            continue
        by_api = web.post("/api/v1/runs", json={"job": JOB, "parameters": parameters}, headers=headers)
        if (by_api.status_code, by_api.json().get("detail")) != (422, message):
            differ.append((values, message, by_api.json()))
    assert differ == []
    assert list_runs(app, actor=ACTOR) == []


ALL: dict[str, list[str]] = {
    "day": ["2023-06-30"],
    "count": ["11"],
    "share": ["0.5"],
    "stamp": ["1.60"],
    "since": ["2026-01-31T08:00"],
    "kind": ["express"],
    "letter": ["f"],
    "grade": ["2"],
    "dry": ["true"],
    "sure": ["false"],
    "names": ["a b", "ü"],
    "numbers": ["1", "4"],
    "colours": ["red", "green"],
    "size": ['{"width": 3}'],
    "pair": ["1", "x"],
    "either": ["2023-06-30"],
    "search": ["abc"],
    "password": ["hunter2"],
}


def test_each_kind_of_parameter_has_its_field(app: Application) -> None:
    assert {one.name: one.kind for one in fields_of(show_job(app, JOB, actor=ACTOR)["parameters"])} == {
        "day": "date",
        "count": "number",
        "share": "number",
        "stamp": "decimal",
        "since": "time",
        "kind": "radio",
        "letter": "select",
        "grade": "radio",
        "dry": "check",
        "loud": "check",
        "sure": "radio",
        "names": "lines",
        "numbers": "lines",
        "colours": "boxes",
        "size": "json",
        "password": "secret",
        "pair": "lines",
        "either": "text",
        "search": "text",
        "main": "text",
        "odd": "text",
    }


def test_a_type_that_nobody_foresaw_is_a_text() -> None:
    schema = {"properties": {"a": {}, "b": {"type": "new"}, "c": {"allOf": [{}]}, "d": {"type": ["x", "y"]}}}
    assert [one.kind for one in fields_of(schema)] == ["text"] * 4


def test_a_run_has_what_was_typed_into_each_field(app: Application, web: TestClient, visit: Visit) -> None:
    answer = web.post(
        f"/jobs/{JOB}/launch",
        data=typed(ALL)
        | {"csrf_token": visit("operator"), "reason": "June", "notify": "a@example.com b@example.com"}
        | {"scope_size": "7", "error_ceiling": "5%"},
        follow_redirects=False,
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs/JR-00000001?done=launched")
    made = show_run(app, "JR-00000001", actor=ACTOR)
    assert made["parameters"] == {
        "day": "2023-06-30",
        "count": 11,
        "share": 0.5,
        "stamp": "1.60",
        "since": "2026-01-31T08:00:00Z",
        "kind": "express",
        "letter": "f",
        "grade": 2,
        "dry": True,
        "loud": False,
        "sure": False,
        "names": ["a b", "ü"],
        "numbers": [1, 4],
        "colours": ["red", "green"],
        "size": {"width": 3},
        "password": "hunter2",
        "pair": [1, "x"],
        "either": "2023-06-30",
        "search": "abc",
        "main": "x",
        "odd": None,
    }
    assert (made["mode"], made["reason"], made["trigger"], made["actor"]) == (
        "batch",
        "June",
        "console",
        "operator@example.com",
    )


def test_the_address_fills_the_form_and_the_form_gives_the_address_without_what_is_secret(
    web: TestClient, visit: Visit
) -> None:
    token = visit("operator")
    data = typed(ALL) | {"csrf_token": token, "show": "1", "reason": "June"}
    answer = web.post(f"/jobs/{JOB}/launch", data=data, follow_redirects=False)
    address = answer.headers["Location"]
    assert answer.status_code == 303
    assert "hunter2" not in address
    assert "p.names=a+b&p.names=%C3%BC" in address
    page = web.get(address).text
    again = dict(re.findall(r'name="(p\.[a-z]+)" type="[a-z-]+" value="([^"]*)"', page))
    assert again["p.day"] == "2023-06-30"
    assert again["p.since"] == "2026-01-31T08:00"
    assert again["p.password"] == ""
    assert re.search(r'value="express" checked', page)
    assert re.search(r'<option value="f" selected', page)
    assert ">\na b\nü</textarea>" in page
    assert page.count("checked") == len(["express", "2", "dry", "not sure", "red", "green", "batch"])


def test_what_is_too_long_for_an_address_is_shown_all_the_same(web: TestClient, visit: Visit) -> None:
    names = "\n".join(f"somebody-{number}" for number in range(1_000))
    data = {"p.day": "2023-06-30", "p.names": names, "show": "1", "csrf_token": visit("operator")}
    answer = web.post(f"/jobs/{JOB}/launch", data=data, follow_redirects=False)
    assert answer.status_code == 200
    assert "somebody-999</textarea>" in answer.text
    assert "12,431 records" in answer.text


@pytest.mark.parametrize(
    "query", ["p.password=hunter2", "p.nothing=1", "day=2023-06-30", f"p.day={HOSTILE}", "scope_size=x"]
)
def test_an_address_holds_no_secret_and_nothing_unknown_and_no_markup(
    web: TestClient, visit: Visit, query: str
) -> None:
    visit("operator")
    answer = web.get(f"/jobs/{JOB}/launch?{query}")
    assert answer.status_code == (200 if "<" in query or "size" in query else 422)
    assert "hunter2" not in answer.text
    assert "<script>alert" not in answer.text


def test_a_parameter_that_the_form_does_not_have_is_refused(
    app: Application, web: TestClient, visit: Visit
) -> None:
    data = {"p.usage_input_id": "IN-00007052", "mode": "batch", "csrf_token": visit("operator")}
    answer = web.post("/jobs/draft-usage-rating/launch", data=data)
    assert answer.status_code == 422
    assert "usage_input_id" in answer.text
    assert list_runs(app, actor=ACTOR) == []


def test_a_refusal_keeps_what_was_typed_links_to_the_field_and_never_shows_a_secret(
    web: TestClient, visit: Visit
) -> None:
    data = {"p.day": "2023-06-30", "p.either": HOSTILE, "p.names": "one\ntwo", "p.password": "hunter2"}
    answer = web.post(f"/jobs/{JOB}/launch", data=data | {"csrf_token": visit("operator")})
    assert answer.status_code == 422
    assert '<a href="#p.either">' in answer.text
    assert re.search(r'id="p\.either"[^>]*aria-invalid="true"', answer.text)
    assert ">\none\ntwo</textarea>" in answer.text
    assert "hunter2" not in answer.text
    assert "<script>alert" not in answer.text
    secret = {"p.day": "2023-06-30", "p.password": "hunter2", "p.count": "hunter2"}
    assert "hunter2" not in said(
        web.post(f"/jobs/{JOB}/launch", data=secret | {"csrf_token": visit("operator")}).text
    )


@pytest.mark.parametrize(
    ("term", "value", "message"),
    [
        ("mode", "dry_run", "cannot run dry"),
        ("mode", HOSTILE, "is not a valid mode"),
        ("mode", "sync", "'sync' is not a valid mode"),
        ("notify", "nobody", "'nobody'"),
        ("scope_size", "0", "0 is not a valid number of records"),
        ("scope_size", "x", "'x' is not a valid number of records"),
        ("error_ceiling", "x", "'x' is not a valid error ceiling"),
    ],
)
def test_bad_terms_are_refused_at_their_field(
    app: Application, web: TestClient, visit: Visit, term: str, value: str, message: str
) -> None:
    data = {"p.day": "2023-06-30", term: value, "csrf_token": visit("operator")}
    answer = web.post(f"/jobs/{JOB}/launch", data=data)
    assert (answer.status_code, message in said(answer.text)) == (422, True)
    assert f'<a href="#{term}">' in answer.text
    assert list_runs(app, actor=ACTOR) == []


def test_a_form_that_is_sent_twice_is_one_run(app: Application, web: TestClient, visit: Visit) -> None:
    data = {"p.day": "2023-06-30", "form_key": "of-one-page", "csrf_token": visit("operator")}
    answers = [web.post(f"/jobs/{JOB}/launch", data=data, follow_redirects=False) for _ in range(2)]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len(list_runs(app, actor=ACTOR)) == 1


def test_the_form_says_how_many_records_the_run_would_take(web: TestClient, visit: Visit) -> None:
    visit("operator")
    assert "12,431 records" in web.get(f"/jobs/{JOB}/launch?p.day=2023-06-30").text
    unready = web.get(f"/jobs/{JOB}/launch").text
    assert "Still required: day. The number of records" in unescape(unready)


def test_the_records_of_a_rating_are_counted_and_an_unknown_id_is_named(
    seed: None, web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit("operator")
    assert "Takes <strong>2 usage inputs</strong>" in web.get("/jobs/usage-rating/launch").text
    monkeypatch.setattr(foreseeing, "MOST_COUNTED", 1)
    assert "Takes <strong>more than 1 usage input</strong>" in web.get("/jobs/usage-rating/launch").text
    monkeypatch.undo()
    unknown = web.get("/jobs/usage-rating/launch?p.usage_input_ids=IN-X").text
    assert "IN-X" in re.findall(r"Not ready to be launched: (.*?)</p>", unknown)[0]


def blocks(page: str) -> list[str]:
    """The texts to copy."""
    return [unescape(one) for one in re.findall(r"<pre tabindex=\"0\"><code>(.*?)</code>", page, re.DOTALL)]


def test_the_command_and_the_call_that_are_shown_make_the_same_run(
    app: Application, web: TestClient, visit: Visit, caller: Caller, command: Any
) -> None:
    token, headers = visit("operator"), caller("operator")
    values = {name: texts for name, texts in ALL.items() if name != "password"}
    data = typed(values) | {
        "csrf_token": token,
        "reason": "It's June",
        "error_ceiling": "5%",
        "scope_size": "3",
    }
    shown = web.post(f"/jobs/{JOB}/launch", data=data | {"show": "1"}).text
    line, call = blocks(shown)
    web.post(f"/jobs/{JOB}/launch", data=data, follow_redirects=False)
    command(*shlex.split(line)[1:])
    words = shlex.split(call.replace("\\\n", ""))
    web.post("/api/v1/runs", json=json.loads(words[-1]), headers=headers).raise_for_status()
    runs = list_runs(app, actor=ACTOR)
    assert sorted(run["trigger"] for run in runs) == ["api", "cli", "console"]
    for name in ("parameters", "mode", "reason"):
        assert len({json.dumps(one[name]) for one in runs}) == 1, name


SHIPPED = {
    "draft-usage-rating": {"p.asset_line_item_ids": "ALI-0001"},
    "usage-rating": {"p.usage_input_ids": "IN-00007052\nIN-00007053"},
    "usage-unrating": {"mode": "batch"},
    "data-recalculation": {
        "p.customer_id": "C-1002",
        "p.periods": "2023-06",
        "p.reason": "Other",
        "p.explanation": "Why",
    },
}


class OfCustomer(BaseModel):
    customer_id: str
    note: str | None = None


class OfCustomerJob(BatchJob):
    """About a customer."""

    name, type, Parameters = "of-customer", "Of customer", OfCustomer

    def start(self, context: StartContext) -> Iterable[Record]:
        return []

    def execute(self, scope: Scope) -> None:
        """Nothing."""


RECALCULATION = "/jobs/data-recalculation/launch"


def options_of(page: str) -> list[str]:
    """The values that are offered as the customer."""
    found = re.search(r'<select id="p.customer_id".*?</select>', page, re.DOTALL)
    return re.findall(r'value="([^"]*)"', found[0]) if found else []


def test_the_customer_of_a_recalculation_is_a_choice_with_names_and_its_months_come_after_it(
    company: None, app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("Billing Utilities Admin")
    page = web.get(RECALCULATION).text
    offered = [one["customer_id"] for one in recalculation_offer(app, actor=ACTOR)["customers"]]
    assert options_of(page) == ["", *offered]
    assert 'name="p.periods"' not in page
    data = {"p.customer_id": "C-1002", "p.reason": "Other", "show": "1", "csrf_token": token}
    answer = web.post(RECALCULATION, data=data, follow_redirects=False)
    assert answer.headers["Location"] == f"{RECALCULATION}?p.customer_id=C-1002&p.reason=Other"
    page = web.get(answer.headers["Location"] + "&p.periods=2023-05").text
    (customer,) = recalculation_offer(app, "C-1002", actor=ACTOR)["customers"]
    boxes = re.findall(r'name="p.periods" value="([^"]+)"( checked)?', page)
    assert [month for month, _ in boxes] == customer["periods"]
    assert [month for month, checked in boxes if checked] == ["2023-05"]
    assert 'class="of-other"' in page
    assert EXPLANATION[1:] in page


def test_a_month_that_another_run_holds_cannot_be_ticked_and_one_that_is_not_offered_stays_in_sight(
    company: None, app: Application, web: TestClient, visit: Visit
) -> None:
    given = {"customer_id": "C-1002", "periods": ["2023-06"], "reason": "Incorrect Charges"}
    holds = submit_run(app, "data-recalculation", given, actor=ACTOR).run_id
    visit("Billing Utilities Admin")
    page = web.get(f"{RECALCULATION}?p.customer_id=C-1002&p.periods=2023-06&p.periods=2099-01").text
    assert re.search(r'value="2023-06" disabled', page)
    assert f'held by <a class="id" href="/runs/{holds}">' in page
    assert re.search(r'value="2099-01" checked', page)
    assert "not offered" in page


def test_of_many_customers_one_is_searched_for_by_what_one_types(
    app: Application, web: TestClient, visit: Visit, tmp_path: Path
) -> None:
    app.registry.add(OfCustomerJob)
    lines = "".join(f"C-{number},Customer {number} <b>\n" for number in range(100, 130))
    (tmp_path / "customers.csv").write_text(f"customer_id,name\n{lines}")
    import_paths(app, [tmp_path / "customers.csv"], actor=ACTOR)
    visit("operator")
    page = web.get("/jobs/of-customer/launch?p.note=a+b").text
    assert 'id="p.customer_id" name="p.customer_id" type="search"' in page
    assert page.count("/launch?p.note=a+b&amp;p.customer_id=C-1") == 20
    page = web.get("/jobs/of-customer/launch?p.customer_id=Customer+12").text
    assert re.findall(r"launch\?p.customer_id=(C-\d+)", page)[:2] == ["C-120", "C-121"]
    assert "C-119" not in page
    region = web.get(
        "/jobs/of-customer/launch?p.customer_id=C-111", headers={"X-Live-Region": "region_choice"}
    ).text
    assert "Customer 111 &lt;b&gt;" in region
    assert "picks" not in region
    assert "No customer matches" in web.get("/jobs/of-customer/launch?p.customer_id=nobody").text


def test_who_may_not_recalculate_is_told_no_names_by_its_form(
    company: None, web: TestClient, visit: Visit
) -> None:
    visit("operator")
    page = web.get(RECALCULATION).text
    assert options_of(page) == []
    assert 'id="p.customer_id" name="p.customer_id" type="text"' in page


def test_every_door_says_the_same_of_the_explanation_of_the_reason_other(
    app: Application, company: None, web: TestClient, visit: Visit
) -> None:
    schema = show_job(app, "data-recalculation", actor=ACTOR)["parameters"]
    assert schema["properties"]["explanation"]["description"] == EXPLANATION
    helped = CliRunner().invoke(main, ["run", "data-recalculation", "--help"]).output
    assert EXPLANATION[1:] in " ".join(helped.split())
    visit("Billing Utilities Admin")
    assert EXPLANATION[1:] in web.get("/billing-utilities/recalculation?customer_id=C-1002").text


@pytest.mark.parametrize("job", SHIPPED)
def test_the_command_that_is_shown_for_a_job_of_ours_is_one_that_there_is(
    company: None, web: TestClient, visit: Visit, job: str
) -> None:
    token = visit("Billing Utilities Admin")
    data = SHIPPED[job] | {"csrf_token": token, "show": "1"}
    line = blocks(web.post(f"/jobs/{job}/launch", data=data).text)[0]
    assert shlex.split(line)[:3] == ["batchwright", "run", job]
    parsed = run.commands[job].make_context(job, shlex.split(line)[3:], parent=click.Context(main)).params
    assert parsed["enqueue"]
    given = [line for name, text in SHIPPED[job].items() if name != "mode" for line in text.splitlines()]
    assert set(given) <= {
        one for value in parsed.values() for one in (value if isinstance(value, tuple) else [value])
    }


def test_what_the_command_has_no_option_for_is_said(web: TestClient, visit: Visit) -> None:
    visit("operator")
    page = web.get("/jobs/draft-usage-rating/launch?p.include_rated=true").text
    assert "The command line has no option for all of these parameters" in page
    assert "include_rated" in blocks(page)[0]


def test_every_job_is_listed_and_has_its_form(app: Application, web: TestClient, visit: Visit) -> None:
    visit("administrator")
    listed = web.get("/jobs").text
    assert HOSTILE not in listed
    for job in list_jobs(app, actor=ACTOR):
        assert f"/jobs/{job['name']}/launch" in listed
        page = web.get(f"/jobs/{job['name']}/launch")
        assert page.status_code == 200
        assert HOSTILE not in page.text
    assert web.get("/jobs/nothing/launch").status_code == 404


def test_what_a_recalculation_lacks_is_named_by_the_form_and_by_the_api(
    web: TestClient, visit: Visit, caller: Caller
) -> None:
    token, headers = visit("Billing Utilities Admin"), caller("Billing Utilities Admin")
    page = web.post("/jobs/data-recalculation/launch", data={"csrf_token": token})
    by_api = web.post("/api/v1/runs", json={"job": "data-recalculation"}, headers=headers)
    assert (page.status_code, by_api.status_code) == (422, 422)
    assert said(page.text) == by_api.json()["detail"]
    assert "customer_id: Field required; periods: Field required" in said(page.text)


@pytest.mark.parametrize("role", ROLES)
def test_a_job_is_launched_by_the_role_that_it_needs(
    app: Application, company: None, web: TestClient, visit: Visit, role: str
) -> None:
    data = {"csrf_token": visit(role), "mode": "batch"}
    recalculation = SHIPPED["data-recalculation"] | {"p.customer_id": "C-1002", "p.periods": "2023-06"}
    for job, needed, fields in (
        ("usage-rating", "operator", {}),
        ("data-recalculation", "Billing Utilities Admin", recalculation),
    ):
        may = ROLES.index(role) >= ROLES.index(needed)
        page = web.get(f"/jobs/{job}/launch").text
        assert (f"needs the role {needed}" in page) is not may
        answer = web.post(f"/jobs/{job}/launch", data=data | fields, follow_redirects=False)
        assert answer.status_code == (303 if may else 403), answer.text
