"""The search box of the frame: any id leads to the page of what has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.pages.routes.loaded import FIELDS
from batchwright.console.pages.visit import VISIT, Pages, Visit, address
from batchwright.engine.errors import Gone, NotFound
from batchwright.operations.billing.asset_line_items import show_asset_line_item
from batchwright.operations.billing.billing_schedules import show_billing_schedule
from batchwright.operations.billing.loaded import Kind, show_loaded
from batchwright.operations.billing.usage_inputs import show_usage_input
from batchwright.operations.billing.usage_schedules import show_usage_schedule
from batchwright.operations.mail import show_mail
from batchwright.operations.runs.looking import show_run

pages = Pages()

Look = Callable[[Visit, str], str]


def _run(visit: Visit, wanted: str) -> str:
    return f"/runs/{quote(_shown(show_run, visit, wanted)['run_id'], safe='')}"


def _input(visit: Visit, wanted: str) -> str:
    return f"/usage-inputs/{quote(_shown(show_usage_input, visit, wanted)['usage_input_id'], safe='')}"


def _of_asset(operation: Callable[..., Any]) -> Look:
    def look(visit: Visit, wanted: str) -> str:
        found = _shown(operation, visit, wanted)
        return f"/asset-line-items/{quote(found['asset_line_item_id'], safe='')}"

    return look


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
    *map(_of_asset, (show_asset_line_item, show_billing_schedule, show_usage_schedule)),
    _mail,
    *(_loaded(kind) for kind in FIELDS if kind is not Kind.PRICE),
)
_BY_WORDS: Final = (
    "asset line items",
    "customers",
    "accounts",
    "contracts",
    "price books",
    "custom line items",
)
"""The lists that are narrowed down by a part of an id, a name or a number."""


@pages.page("/search")
def search(q: str = "", visit: Visit = VISIT) -> Response:
    """Go to what has the id; else say what was looked for, and lead to the lists that have it as a part."""
    check_text(q, "q")
    wanted = q.strip()
    for look in _LOOKS if wanted else ():
        try:
            return visit.go(look(visit, wanted))
        except Gone:  # of inputs alone: their page says that it was deleted
            return visit.go(f"/usage-inputs/{quote(wanted, safe='')}")
        except NotFound:
            continue
    lists = [(name, address(f"/{name.replace(' ', '-')}", words=wanted)) for name in _BY_WORDS]
    return visit.page("search.html", status=404 if wanted else 200, wanted=wanted, lists=lists)
