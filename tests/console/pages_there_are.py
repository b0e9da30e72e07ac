"""The pages of the console, found by looking at their routes, and a database with something behind each of them.

A page with a name in braces needs an entry in `STANDS_FOR`, a new act one in `test_every_page.MAY`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from sqlalchemy import Connection, text

from batchwright.console.pages.application import ROUTES
from batchwright.engine import BatchJob, Record, Scope
from batchwright.engine.job import StartContext
from batchwright.operations.access.permissions import ROLES, Right
from batchwright.operations.access.tokens import make_token
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application
from batchwright.operations.billing.selections import select_usage_inputs
from batchwright.operations.runs.controls import abort_run, pause_run
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import RunTerms, submit_run
from tests.console.furniture import KNOWN, furnish
from tests.console.visits import signed_in
from tests.support.application import ACTOR

SCRIPT: Final = '"><svg onload=alert(1)>'
JOB: Final = "draft-usage-rating"
DONE, DRY, WAITING, PAUSED, ABORTED = (f"JR-{number:08}" for number in (1, 2, 4, 5, 6))

STANDS_FOR: Final = {
    "{kind}/{subject}": ABORTED,
    "accounts/{account_id}": KNOWN["account_id"],
    "asset-line-items/{asset_line_item_id}": KNOWN["asset_line_item_id"],
    "contracts/{contract_id}": KNOWN["contract_id"],
    "custom-line-items/{line_item_id}": KNOWN["line_item_id"],
    "customers/{customer_id}": KNOWN["customer_id"],
    "jobs/{name}": "walked",
    "mail/{mail_id}": KNOWN["mail_id"],
    "price-books/{price_book_id}": KNOWN["price_book_id"],
    "prices/{price_id}": f"PB-US-2023/{quote(f'Compute Hours{SCRIPT}', safe='')}/2023-01-01",
    "runs/{run_id}": DONE,
    "seen/{kind}": "run",
    "templates/{file}": "customers.csv",
    "schedules/{name}": KNOWN["name"],
    "sessions/{session_id}": "1",
    "tokens/{name}": "token-1",
    "usage-inputs/{usage_input_id}": KNOWN["usage_input_id"],
    "users/{email}": KNOWN["email"],
    "/preferences/sessions/{session_id}/end": "/preferences/sessions/2/end",
    "/runs/{run_id}/abort": f"/runs/{WAITING}/abort",
    "/runs/{run_id}/apply": f"/runs/{DRY}/apply",
    "/runs/{run_id}/error": f"/runs/{ABORTED}/error",
    "/runs/{run_id}/hold": f"/runs/{WAITING}/hold",
    "/runs/{run_id}/move": f"/runs/{WAITING}/move",
    "/runs/{run_id}/pause": f"/runs/{WAITING}/pause",
    "/runs/{run_id}/preview": f"/runs/{DRY}/preview",
    "/runs/{run_id}/preview.csv": f"/runs/{DRY}/preview.csv",
    "/runs/{run_id}/reason": f"/runs/{ABORTED}/reason",
    "/runs/{run_id}/resume": f"/runs/{PAUSED}/resume",
    "/ticked-runs": f"/ticked-runs?act=abort&run_id={WAITING}",
    "/usage-inputs/selections/{selection_id}/{act}": "/usage-inputs/selections/{selection}/draft-rate",
}
"""What stands for a name in the addresses of pages: by the name with the part of the address before it, or by the
whole address where others need another one."""
ALSO_ASKED: Final = {
    "/jobs/{name}/launch": (
        "p.what",
        "p.none",
        "mode",
        "reason",
        "explanation",
        "scope_size",
        "error_ceiling",
    ),
    "/new-schedule": ("job", "cron", "time_zone", "start", "end", "cap", "name", "p.what"),
    "/schedules/{name}/edit": ("job", "cron", "time_zone", "start", "end", "cap", "p.none"),
}
"""Parameters that a page reads from its address without declaring them."""
TEXTS: Final = (
    "account.name",
    "asset_line_item.asset_number",
    "asset_line_item.product",
    "custom_line_item.description",
    "customer.name",
    "forecast_block.product",
    "mail.error",
    "outcome.message",
    "price.product",
    "price_book.name",
    "run.explanation",
    "run_warning.message",
    "schedule.explanation",
    "usage_input.description",
    "usage_input.message",
    "user_session.browser",
    "worker.host",
    "worker.version",
)
"""Columns of the database that hold what people, files, programs and other servers wrote."""


class Walked(BaseModel):
    """What an author of a job wrote."""

    what: str = Field("x", title=SCRIPT, description=SCRIPT)


class WalkedJob(BatchJob):
    """Does nothing."""

    name, type, record_noun = "walked", f"Walked {SCRIPT}", f"record {SCRIPT}"
    Parameters = Walked

    def start(self, context: StartContext) -> Iterable[Record]:
        return []

    def execute(self, scope: Scope) -> None:
        """Nothing."""


@dataclass(frozen=True)
class There:
    """A page or an act. ``right`` is None where one need not be signed in; ``asks_password``: where that was not given
    lately.
    """

    method: str
    path: str
    right: Right | None
    asked: tuple[str, ...]
    asks_password: bool

    @property
    def names(self) -> list[str]:
        """The names in braces."""
        return re.findall(r"{(\w+)}", self.path)

    def address(self, selection: str, **values: str) -> str:
        """Its address, with these values in place of names, and of all others what there is."""
        whole = STANDS_FOR.get(self.path)
        if whole is not None and not values:
            return whole.replace("{selection}", selection)
        parts = self.path.split("/")
        for place, (before, part) in enumerate(pairwise(self.path.split("/")), start=1):
            if part.startswith("{"):
                parts[place] = values.get(part[1:-1]) or self._known(before, part)
        return "/".join(parts).replace("{selection}", selection)

    def _known(self, before: str, part: str) -> str:
        if self.path == "/usage-inputs/selections/{selection_id}/{act}":
            return {"{selection_id}": "{selection}", "{act}": "draft-rate"}[part]
        key = f"{before}/{part}"
        if key not in STANDS_FOR:
            pytest.fail(f"say in STANDS_FOR of {__name__} what stands for {key!r}: {self.path} needs it")
        return STANDS_FOR[key]


def pages_there_are(method: str) -> list[There]:
    """Every page (GET) or act (POST)."""
    return sorted(_there(method), key=lambda one: one.path)


def _there(method: str) -> Iterable[There]:
    for module in ROUTES:
        for route in module.pages.routes:
            assert isinstance(route, APIRoute)
            if method in (route.methods or ()):
                path = re.sub(r":[a-z]+}", "}", route.path)
                said = route.openapi_extra or {}
                role = said.get("x-role")
                asked = (*_asked(route), *ALSO_ASKED.get(path, ()))
                right = None if role is None else Right(role)
                yield There(method, path, right, asked, bool(said.get("x-asks-password")))


def _asked(route: APIRoute) -> Iterable[str]:
    for one in route.dependant.query_params:
        model = one.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (field.alias or name for name, field in model.model_fields.items())
        else:
            yield one.alias


def email_of(role: str) -> str:
    """The user of that role in a database that `furnish_pages` filled."""
    return ACTOR.name if role == ROLES[-1] else f"{role.split()[0].lower()}@example.com"


def furnish_pages(app: Application) -> str:
    """A user of each role, something behind every page, script in every text that people wrote.

    Returns the id of a selection of the administrator's.
    """
    for role in reversed(ROLES):
        os_user = ACTOR.os_user if role == ROLES[-1] else None
        add_user(app, email_of(role), role, os_user=os_user, actor=ACTOR)
    app.registry.get(JOB)
    app.registry.add(WalkedJob)
    furnish(app)
    drive_submitted(app, submit_run(app, "usage-rating", {}, actor=ACTOR, mode="dry_run"), mail=False)
    drive_submitted(app, submit_run(app, "usage-rating", {}, actor=ACTOR, mode="batch"), mail=False)
    terms: RunTerms = {"reason": "Other", "explanation": SCRIPT}
    waiting = [submit_run(app, JOB, {}, actor=ACTOR, **terms).run_id for _ in range(3)]
    assert waiting == [WAITING, PAUSED, ABORTED]
    pause_run(app, PAUSED, actor=ACTOR, reason=SCRIPT)
    abort_run(app, ABORTED, actor=ACTOR, reason=SCRIPT, mail=False)
    make_token(app, KNOWN["email"], actor=ACTOR)
    for number, who in enumerate((KNOWN["email"], ACTOR.name), start=1):
        assert signed_in(app, who).key == number
    selection = select_usage_inputs(app, [("customer_id", KNOWN["customer_id"])], actor=ACTOR)
    with app.database.write() as connection:
        for column in TEXTS:
            _write_script(connection, *column.split("."))
    return str(selection["selection_id"])


def _write_script(connection: Connection, table: str, column: str) -> None:
    also = f'"{column}"' if column == "product" else "''"  # several products have one name in no price book
    connection.execute(text(f'UPDATE "{table}" SET "{column}" = {also} || :script'), {"script": SCRIPT})
