"""Usage inputs: what a person may see of them and do to them.

An input is changed only where nobody has billed it yet, never a Rated one. Each change locks the asset,
so that no run and no second person works on its inputs meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from batchwright.billing.importing import cells
from batchwright.billing.records import assets, input_filter, inputs
from batchwright.billing.records.ids import next_ids
from batchwright.billing.records.input_filter import InputFilter
from batchwright.billing.records.inputs import InputStatus
from batchwright.engine.errors import Conflict, Gone, Refused
from batchwright.engine.store import pages
from batchwright.operations import views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import asset_key_of
from batchwright.operations.billing.fields import read_field
from batchwright.operations.billing.input_filter import checked_filter, filter_text, pairs_of
from batchwright.operations.checks import check_known, check_limit, check_one_of, distinct_ids, shortened
from batchwright.operations.paging import PAGE, Page, check_page, cursor, place_after
from batchwright.operations.versions import Seen, check_seen
from batchwright.operations.views import View, picked

NOUN = "usage input"
LISTING = "usage_inputs"
OWNER = ("customer_id", "customer_name", "product")
"""What an input has of its asset line item's, where that is asked for."""
IN_FILES = (
    *(
        "usage_input_id",
        "asset_line_item_id",
        "asset_number",
        *OWNER,
        "status",
        "code",
        "message",
        "quantity",
    ),
    *("usage_date", "product_uom", "description", "currency", "rated_amount", "draft_rated_amount"),
)
"""The columns of a file of usage inputs."""
READ_UOM = cells.short_text(cells.MAX_ID)


def list_usage_inputs(
    app: Application,
    asset_line_item_id: str | None = None,
    status: str | None = None,
    limit: int | None = None,
    *,
    where: str | None = None,
    pairs: Iterable[tuple[str, str]] = (),
    with_owners: bool = False,
    actor: Actor | None = None,
) -> Iterator[View]:
    """The usage inputs that match, deleted ones left out; streamed in the order of `input_filter.page`.

    `where` is a filter as text, see `operations.billing.input_filter`, `pairs` one as names and values. Refuses one
    that cannot be read, and what nobody has, before the first input is given. `with_owners` as `usage_inputs_page`.
    """
    permit(app, actor, Right.LOOK, "usage_input.list")
    check_limit(limit)
    named = {"asset_line_item_id": asset_line_item_id, "status": status}
    asked = [*pairs, *(() if where is None else pairs_of(where))]
    asked += [(name, value) for name, value in named.items() if value is not None]
    with app.database.read() as connection:
        wanted = checked_filter(connection, asked)
    return islice(_streamed(app, wanted, limit, with_owners), limit)


def usage_inputs_page(
    app: Application,
    pairs: Iterable[tuple[str, str]] = (),
    *,
    limit: int = PAGE,
    after: str | None = None,
    with_owners: bool = False,
    actor: Actor | None = None,
) -> Page[View]:
    """A page of the same list; the filter as pairs of name and value. It may be short, and yet not the last.

    `with_owners` each has `customer_id`, `customer_name` and `product` of its asset line item, too.
    """
    permit(app, actor, Right.LOOK, "usage_input.list")
    check_page(limit)
    with app.database.read() as connection:
        wanted = checked_filter(connection, pairs)
        asked = {"where": filter_text(wanted)}
        place = None
        if after is not None:
            place = place_after(after, LISTING, asked, input_filter.order_of(wanted))
        rows, last = input_filter.page(connection, wanted, place, limit)
        shown = _shown(connection, rows, with_owners)
    return Page(shown, None if last is None else cursor(LISTING, asked, last))


def _shown(connection: Connection, rows: Sequence[RowMapping], with_owners: bool) -> list[View]:
    shown = list(map(views.usage_input, rows))
    if with_owners:
        owners = assets.owners(connection, {row["asset_key"] for row in rows})
        for row, view in zip(rows, shown, strict=True):
            owner = owners[row["asset_key"]]
            view |= {name: owner[name] for name in OWNER}
    return shown


def _streamed(app: Application, wanted: InputFilter, limit: int | None, with_owners: bool) -> Iterator[View]:
    size = min(limit or pages.ROWS_AT_A_TIME, pages.ROWS_AT_A_TIME)

    def read(connection: Connection, after: Any) -> tuple[list[View], Any]:
        rows, last = input_filter.page(connection, wanted, after, size)
        return _shown(connection, rows, with_owners), last

    return pages.pages(app.database, read)


def show_usage_input(app: Application, usage_input_id: str, *, actor: Actor | None = None) -> View:
    """The usage input of that id. A deleted one is refused as gone."""
    permit(app, actor, Right.LOOK, "usage_input.show")
    with app.database.read() as connection:
        return views.usage_input(existing_input(connection, usage_input_id))


def add_usage_input(
    app: Application,
    *,
    asset_line_item_id: str,
    usage_date: str,
    quantity: str,
    product_uom: str,
    description: str | None = None,
    usage_input_id: str | None = None,
    actor: Actor,
    reason: str | None = None,
) -> View:
    """Add one Loaded usage input and return it. Without an id of its own it gets the next free IN- number."""
    permit(app, actor, Right.OPERATE, "usage_input.add")
    values = {
        "usage_date": read_field(cells.day, usage_date, field="usage_date"),
        "quantity": read_field(cells.decimal, quantity, field="quantity"),
        "product_uom": read_field(READ_UOM, product_uom, field="product_uom"),
        "description": _description(description),
    }
    if usage_input_id is not None:
        read_field(cells.public_id, usage_input_id, field="usage_input_id")
    try:
        with app.database.write(patient=True) as connection:
            asset_key = asset_key_of(connection, asset_line_item_id)
            assets.lock(connection, [asset_key])
            an_id = usage_input_id or next_ids(connection, "IN-", 1)[0]
            inputs.add(connection, {**values, "usage_input_id": an_id, "asset_key": asset_key})
            added = views.usage_input(existing_inputs(connection, [an_id])[0])
            audit.record(
                connection, actor, "usage_input.add", an_id, reason=reason, after=added, now=app.clock.now()
            )
    except IntegrityError:
        if usage_input_id is None:
            raise
        raise _taken(usage_input_id) from None
    return added


def edit_usage_input(
    app: Application,
    usage_input_id: str,
    *,
    quantity: str | None = None,
    usage_date: str | None = None,
    description: str | None = None,
    seen: Seen = None,
    actor: Actor,
    reason: str | None = None,
) -> View:
    """Change a Loaded or Error usage input and return it as it is now; `None` leaves a value as it is.

    With another quantity or date its draft amount is of yesterday: it is blanked until the next forecast. The
    draft figures of its usage schedule stay until that forecast overwrites them. What a forecast or a rating put in
    Error becomes Loaded, without its code and message, so that the next rating charges it. What was unrated stays in
    Error: only a reset says that it is to be charged again. Refuses an input of which none of the versions that were
    `seen` (of `show_usage_input`) is the one that stands.
    """
    permit(app, actor, Right.OPERATE, "usage_input.edit")
    changes = _changes(quantity, usage_date, description)
    with app.database.write(patient=True) as connection:
        row = _locked(connection, [usage_input_id], field="usage_input_id")[0]
        before = views.usage_input(row)
        check_seen(seen, before, f"{usage_input_id} was changed")
        _refuse_rated([row], "edited")
        if any(changes[name] != row[name] for name in ("quantity", "usage_date") if name in changes):
            changes.update(inputs.NO_DRAFT)
        if row["status"] == InputStatus.ERROR and row["error_by"] in ("draft", "rating"):
            changes |= {"status": InputStatus.LOADED, **inputs.NO_ERROR}
        _change(connection, [row], changes)
        after = views.usage_input(existing_input(connection, usage_input_id))
        audit.record(
            connection,
            actor,
            "usage_input.edit",
            usage_input_id,
            reason=reason,
            before=before,
            after=after,
            now=app.clock.now(),
        )
    return after


def delete_usage_inputs(
    app: Application, ids: Sequence[str], *, actor: Actor, reason: str | None = None
) -> list[str]:
    """Mark Loaded and Error usage inputs as deleted and return their ids. All of them, or none.

    They are listed and rated no more; their ids stay taken.
    """
    permit(app, actor, Right.OPERATE, "usage_input.delete")
    ids = distinct_ids(ids, field="usage_input_ids")
    with app.database.write(patient=True) as connection:
        rows = _locked(connection, ids)
        _refuse_rated(rows, "deleted")
        _change(connection, rows, {"deleted": True})
        audit.record(
            connection,
            actor,
            "usage_input.delete",
            audit.subject_of(ids, NOUN),
            reason=reason,
            before=[views.usage_input(row) for row in rows],
            records=ids,
            now=app.clock.now(),
        )
    return ids


def reset_usage_inputs(
    app: Application,
    *,
    ids: Sequence[str] | None = None,
    status: str | None = None,
    code: str | None = None,
    asset_line_item_id: str | None = None,
    actor: Actor,
    reason: str | None = None,
) -> dict[str, list[str]]:
    """Set Error inputs back to Loaded, without code and message; named by `ids`, or by `status="Error"`.

    `code` and `asset_line_item_id` narrow the status down. Returns the ids as `{"reset", "untouched"}`; untouched
    are those that are Loaded anyway. Refuses Rated ones: unrating takes a rated amount back first.
    """
    permit(app, actor, Right.OPERATE, "usage_input.reset")
    _check_reset_choice(ids, status, code, asset_line_item_id)
    with app.database.write(patient=True) as connection:
        if ids is not None:
            rows = _locked(connection, distinct_ids(ids, field="usage_input_ids"))
            _refuse_rated(rows, "reset")
        else:
            rows = _locked_errors(connection, code, asset_line_item_id)
        errored = [row for row in rows if row["status"] == InputStatus.ERROR]
        untouched = [row["usage_input_id"] for row in rows if row["status"] != InputStatus.ERROR]
        _change(connection, errored, {"status": InputStatus.LOADED, **inputs.NO_ERROR})
        reset = [row["usage_input_id"] for row in errored]
        audit.record(
            connection,
            actor,
            "usage_input.reset",
            audit.subject_of(reset, NOUN),
            reason=reason,
            before={row["usage_input_id"]: _error(row) for row in errored},
            after={"status": InputStatus.LOADED},
            records=reset,
            now=app.clock.now(),
        )
    return {"reset": reset, "untouched": untouched}


def _changes(quantity: str | None, usage_date: str | None, description: str | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if quantity is not None:
        changes["quantity"] = read_field(cells.decimal, quantity, field="quantity")
    if usage_date is not None:
        changes["usage_date"] = read_field(cells.day, usage_date, field="usage_date")
    if description is not None:
        changes["description"] = _description(description)
    if not changes:
        raise Refused("nothing to change was given", remedy="Give a quantity, a usage date or a description")
    return changes


def _description(text: str | None) -> str | None:
    return read_field(cells.line_of_text, text, field="description") if text else None


def _check_reset_choice(
    ids: Sequence[str] | None, status: str | None, code: str | None, asset_line_item_id: str | None
) -> None:
    if ids is not None and any(value is not None for value in (status, code, asset_line_item_id)):
        raise Refused(
            "ids were given together with a status, a code or an asset line item",
            field="usage_input_ids",
            remedy="Give either the ids, or the status Error with what narrows it down",
        )
    if ids is None and status != InputStatus.ERROR:
        raise Refused(
            "no usage inputs were named"
            if status is None
            else f"inputs in status {status!r} cannot be reset",
            field="status",
            remedy=f"Give ids, or the status {InputStatus.ERROR}",
        )
    if code is not None:
        check_one_of(code, inputs.CODES, field="code")


def _locked(
    connection: Connection, ids: Sequence[str], *, field: str = "usage_input_ids"
) -> list[RowMapping]:
    """The inputs of these ids as they are while we hold their assets. Refuses unknown and deleted ones."""
    held = {row["asset_key"] for row in existing_inputs(connection, ids, field=field)}
    assets.lock(connection, held)
    rows = existing_inputs(connection, ids, field=field)
    _refuse_moved(rows, held)
    return rows


def _locked_errors(
    connection: Connection, code: str | None, asset_line_item_id: str | None
) -> list[RowMapping]:
    """The inputs in Error while we hold their assets; of an asset whose first error came just now, none."""
    asset_key = None if asset_line_item_id is None else asset_key_of(connection, asset_line_item_id)
    held = inputs.assets_with_errors(connection, code, asset_key)
    assets.lock(connection, held)
    return [row for row in inputs.errors(connection, code, asset_key) if row["asset_key"] in held]


def existing_input(connection: Connection, usage_input_id: str) -> RowMapping:
    """The input of that id. Refuses an unknown and a deleted one."""
    return existing_inputs(connection, [usage_input_id], field="usage_input_id")[0]


def existing_inputs(
    connection: Connection, ids: Sequence[str], *, field: str = "usage_input_ids"
) -> list[RowMapping]:
    """The inputs of these ids, in their order. Refuses unknown and deleted ones, naming them."""
    found = inputs.by_ids(connection, ids)
    check_known(NOUN, ids, found, field=field)
    gone = [an_id for an_id in ids if found[an_id]["deleted"]]
    if gone:
        raise Gone(
            f"deleted: {shortened(gone)}",
            field=field,
            remedy="A deleted usage input is gone and its id stays taken; add it again under another id",
        )
    return [found[an_id] for an_id in ids]


def _refuse_rated(rows: Sequence[RowMapping], done: str) -> None:
    rated = [row["usage_input_id"] for row in rows if row["status"] == InputStatus.RATED]
    if rated:
        raise Conflict(
            f"rated, and so not to be {done}: {shortened(rated)}",
            field="usage_input_ids",
            remedy="Take the rated amount back first: "
            f"`batchwright run usage-unrating --usage-input {rated[0]}`, then reset it",
        )


def _refuse_moved(rows: Sequence[RowMapping], held: Collection[int]) -> None:
    if any(row["asset_key"] not in held for row in rows):
        raise _changed_meanwhile()


def _change(connection: Connection, rows: Sequence[RowMapping], values: Mapping[str, Any]) -> None:
    if inputs.change(connection, rows, values) != len(rows):
        raise _changed_meanwhile()


def _taken(usage_input_id: str) -> Conflict:
    return Conflict(
        f"the usage input id {usage_input_id!r} is taken; that of a deleted input stays so",
        field="usage_input_id",
        remedy="Give another id, or none for the next free number",
    )


def _changed_meanwhile() -> Conflict:
    return Conflict(
        "somebody else changed these usage inputs at the same moment", remedy="Look, and try again"
    )


def _error(row: RowMapping) -> View:
    return picked(row, "status code message error_by")
