"""The search box of the frame: any id leads to the page of what has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.pages.routes.loaded import FIELDS
from batchwright.console.pages.visit import VISIT, Pages, Visit
from batchwright.engine.errors import Gone, NotFound
from batchwright.operations.billing.asset_line_items import show_asset_line_item
from batchwright.operations.billing.billing_schedules import show_billing_schedule
from batchwright.operations.billing.loaded import Kind, show_loaded
from batchwright.operations.billing.usage_inputs import show_usage_input
from batchwright.operations.mail import show_mail
from batchwright.operations.runs.looking import show_run

pages = Pages()

Look = Callable[[Visit, str], str]


def _run(visit: Visit, wanted: str) -> str:
    return f"/runs/{quote(_shown(show_run, visit, wanted)['run_id'], safe='')}"


def _input(visit: Visit, wanted: str) -> str:
    return f"/usage-inputs/{quote(_shown(show_usage_input, visit, wanted)['usage_input_id'], safe='')}"


def _asset(visit: Visit, wanted: str) -> str:
    return f"/asset-line-items/{quote(_shown(show_asset_line_item, visit, wanted)['asset_line_item_id'], safe='')}"


def _billing_schedule(visit: Visit, wanted: str) -> str:
    found = _shown(show_billing_schedule, visit, wanted)
    return f"/asset-line-items/{quote(found['asset_line_item_id'], safe='')}"


def _mail(visit: Visit, wanted: str) -> str:
    return f"/mail/{quote(_shown(show_mail, visit, wanted)['mail_id'], safe='')}"


def _loaded(kind: Kind) -> Look:
    def look(visit: Visit, wanted: str) -> str:
        found = show_loaded(visit.app, kind, wanted, actor=visit.actor)
        return f"/{kind.noun.replace(' ', '-')}s/{quote(found[FIELDS[kind]], safe='')}"

    return look


def _shown(operation: Callable[..., Any], visit: Visit, wanted: str) -> Any:
    return operation(visit.app, wanted, actor=visit.actor)


_LOOKS: Final[tuple[Look, ...]] = (
    _run,
    _input,
    _asset,
    _billing_schedule,
    _mail,
    *(_loaded(kind) for kind in FIELDS if kind is not Kind.PRICE),
)


@pages.page("/search")
def search(q: str = "", visit: Visit = VISIT) -> Response:
    """Go to what has the id; else say what was looked for."""
    check_text(q, "q")
    wanted = q.strip()
    for look in _LOOKS if wanted else ():
        try:
            return visit.go(look(visit, wanted))
        except Gone:  # of inputs alone: their page says that it was deleted
            return visit.go(f"/usage-inputs/{quote(wanted, safe='')}")
        except NotFound:
            continue
    return visit.page("search.html", status=404 if wanted else 200, wanted=wanted)
