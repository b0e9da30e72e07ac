"""Bad parameters of the jobs there are: refused alike by command, API and form, and in a schedule by its doors."""

from __future__ import annotations

import json
import re
import shlex
from html import unescape
from typing import Any, Final

import pytest
from click.testing import CliRunner
from httpx2 import Response
from starlette.testclient import TestClient

from batchwright.cli.main import main
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import delete_usage_inputs
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.schedules.crontab import option_of
from batchwright.operations.schedules.schedules import list_schedules
from tests.console.conftest import Caller, Visit
from tests.support.application import ACTOR
from tests.support.rungs import depth

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("company"),
]

Given = dict[str, list[str]]
Said = tuple[str, str | None]
"""Message, and the field that it is about."""

ADMIN: Final = "Billing Utilities Admin"
GONE: Final = "IN-00007053"
LISTS: Final = ("usage_input_ids", "asset_line_item_ids", "periods")
USAGE: Final = (
    "draft-usage-rating",
    "usage-rating",
    "usage-unrating",
    "usage-input-reset",
    "usage-input-deletion",
)
INPUTS: Final = (
    *("IN-NONE", "in-00007052", "IN-0000705\uff12", "IN-00007052,IN-00007060", "I" * 10_000, "' OR 1=1 --"),
    *("<b>IN</b>", "IN-00007052\u200b", "e\u0301", "\U0001f4a9", "--usage-input", GONE),
)
RECALCULATION: Final[Given] = {
    "customer_id": ["C-1002"],
    "periods": ["2023-06"],
    "reason": ["Incorrect Charges"],
}
MONTHS: Final = (
    *("2023-13", "2023-6", "2023/06", "2023-06-01", "06-2023", "June", "\uff12023-06", "0000-01"),
    *("-", "2023-06 2023-07", "99999-01"),
)
BAD: Final[list[tuple[str, Given]]] = [
    *((USAGE[place % 5], {"usage_input_ids": [value]}) for place, value in enumerate(INPUTS)),
    *(
        (USAGE[place % 5], {"asset_line_item_ids": [value]})
        for place, value in enumerate(INPUTS)
        if value != GONE
    ),
    *((job, {"usage_input_ids": ["IN-00007052"], "asset_line_item_ids": ["ALI-0001"]}) for job in USAGE),
    ("usage-rating", {"usage_input_ids": ["IN-00007052", "IN-NONE", "IN-NOWHERE"]}),
    ("usage-rating", {"usage_input_ids": [f"IN-NONE-{number}" for number in range(30)]}),
    *(("data-recalculation", RECALCULATION | {"periods": [value]}) for value in MONTHS),
    ("data-recalculation", RECALCULATION | {"periods": ["2023-06", "2023-13", "x"]}),
    *(
        ("data-recalculation", RECALCULATION | {"customer_id": [value]})
        for value in ("C-9", "c-1002", "C-1002 ", "\uff23-1002", "*", "C" * 5_000)
    ),
    *(
        ("data-recalculation", RECALCULATION | {"reason": [value]})
        for value in ("other", "Incorrect  Charges", "Because", "\u041ether")
    ),
]


@pytest.fixture(autouse=True)
def deleted(app: Application, company: None) -> None:
    """An input that was deleted."""
    delete_usage_inputs(app, [GONE], actor=ACTOR)


def values_of(given: Given) -> dict[str, Any]:
    return {name: texts if name in LISTS else texts[0] for name, texts in given.items()}


def options_of(given: Given) -> list[str]:
    return [f"--{option_of(name, name in LISTS)}={text}" for name, texts in given.items() for text in texts]


def by_command(job: str, given: Given) -> Said:
    done = CliRunner().invoke(main, ["run", job, *options_of(given), "--enqueue", "--json"])
    error = json.loads(done.stdout).get("error") or {}
    return error.get("message", done.stdout), error.get("field")


def in_summary(answer: Response) -> Said:
    page = answer.text
    found = re.search(r'id="refused">.*?<p>(?:<a href="#([^"]*)">)?(.*?)(?:</a>)?</p>', page, re.DOTALL)
    if found is None:
        return f"{answer.status_code}: {page[:200]}", None
    return unescape(re.sub(r"<[^>]+>", "", found[2])), (found[1] or "").removeprefix("p.") or None


def by_api(web: TestClient, headers: dict[str, str], path: str, body: dict[str, Any]) -> Said:
    problem = web.post(f"/api/v1/{path}", json=body, headers=headers).json()
    return problem.get("detail", str(problem)), problem.get("field")


def typed(given: Given) -> dict[str, Any]:
    return {
        f"p.{name}": "\n".join(texts) if name in LISTS and name != "periods" else texts
        for name, texts in given.items()
    }


def test_bad_parameters_of_the_jobs_there_are_are_refused_alike_by_every_door(
    app: Application, web: TestClient, visit: Visit, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(BAD) >= 50
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", app.database.url.render_as_string(hide_password=False))
    token, headers = visit(ADMIN), caller(ADMIN)
    differ = []
    for job, given in BAD[:: depth(5, 1)]:
        said: dict[str, Said] = {"command": by_command(job, given)}
        said["api"] = by_api(web, headers, "runs", {"job": job, "parameters": values_of(given)})
        form = typed(given) | {"csrf_token": token}
        said["form"] = in_summary(web.post(f"/jobs/{job}/launch", data=form))
        options = [f"--param={name}={text}" for name, texts in given.items() for text in texts]
        line = f'@daily "A" {job} {shlex.join(options)}'
        message, field = by_api(web, headers, "schedules/apply", {"text": line})
        said["file"] = message.removeprefix("line 1: "), field
        new = {"name": "A", "cron": "0 0 0 ? * * *", "job": job}
        said["schedule api"] = by_api(web, headers, "schedules", new | {"parameters": values_of(given)})
        said["schedule form"] = in_summary(web.post("/new-schedule", data=form | new))
        if len(set(said.values())) > 1:
            differ.append((job, given, said))
    assert differ == []
    assert list_runs(app, actor=ACTOR) == []
    assert list_schedules(app, actor=ACTOR) == []
