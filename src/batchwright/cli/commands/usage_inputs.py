"""`batchwright usage-inputs`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option, format_option, ids_from_option, limit_option, where_option
from batchwright.cli.output import (
    Column,
    Format,
    say,
    write_facts,
    write_json,
    write_rows,
    write_table,
    write_view,
)
from batchwright.cli.session import Act, act_options, application
from batchwright.cli.show import instant, joined
from batchwright.cli.submitting import act_on_match
from batchwright.cli.verbosity import Verbosity
from batchwright.engine.errors import Refused
from batchwright.notifications.humanize import counted
from batchwright.operations.billing import usage_inputs as operation
from batchwright.operations.billing.explanations import explain_usage_input, usage_input_history
from batchwright.operations.paging import LONGEST_PAGE
from batchwright.operations.views import View

COLUMNS = (
    Column("usage_input_id", "Input id"),
    Column("asset_line_item_id", "Asset line item"),
    Column("asset_number", "Asset no."),
    Column("status", "Status"),
    Column("quantity", "Quantity", numeric=True),
    Column("usage_date", "Usage date"),
    Column("product_uom", "Product UoM"),
    Column("currency", "Currency"),
    Column("rated_amount", "Rated amount", numeric=True),
    Column("draft_rated_amount", "(Draft) rated amount", numeric=True),
    Column("code", "Code"),
    Column("message", "Message"),
    Column("description", "Description"),
)
IN_FILES = tuple(Column(name, name) for name in operation.IN_FILES)

LINE_COLUMNS = (
    Column("key", "Line"),
    Column("quantity", "Quantity", numeric=True),
    Column("unit_price", "Unit price", numeric=True),
    Column("amount", "Amount", numeric=True),
)
HISTORY_COLUMNS = (
    Column("at", "When UTC", show=instant),
    Column("what", "What"),
    Column("run_id", "Job ID"),
    Column("mode", "Mode"),
    Column("actor", "By"),
    Column("outcome", "Outcome"),
    Column("currency", "Currency"),
    Column("amount", "Amount", numeric=True),
    Column("code", "Code"),
    Column("message", "Message"),
    Column("reason", "Reason"),
)
ACTS = {
    "usage_input.add": "Added",
    "usage_input.edit": "Edited",
    "usage_input.reset": "Reset",
    "asset_line_item.amend": "Asset amended",
}


@click.group("usage-inputs", cls=Group, example="batchwright usage-inputs list --status Error")
def usage_inputs() -> None:
    """Usage inputs: list, add, edit, delete, reset."""


@usage_inputs.command(
    "list",
    example="batchwright usage-inputs list --asset-line-item ALI-0001 --status Loaded\n"
    "batchwright usage-inputs list --where customer_id=C-1002,code=no_price,from=2023-06-01,before=2023-07-01",
)
@click.option("--asset-line-item", metavar="ID", help="Only those of one asset line item.")
@click.option("--status", metavar="S", help="Only those in one status: Loaded, Rated or Error.")
@where_option
@limit_option
@format_option
def list_(
    asset_line_item: str | None, status: str | None, where: str | None, limit: int | None, format: Format
) -> None:
    """List usage inputs in order of arrival; asset by asset, or by usage date, where those are asked for.

    In CSV each has its customer and product, too.
    """
    with application() as app:
        rows = operation.list_usage_inputs(
            app, asset_line_item, status, limit, where=where, with_owners=format == "csv"
        )
        columns = IN_FILES if format == "csv" else COLUMNS
        write_rows(rows, columns, format=format, nothing="There is no such usage input.")


@usage_inputs.command("show", example="batchwright usage-inputs show IN-00007052")
@click.argument("usage_input_id", metavar="ID")
@click.option("--whole-history", is_flag=True, help="What became of it in every run, not in the last twenty.")
@as_json_option
def show(usage_input_id: str, whole_history: bool, as_json: bool) -> None:
    """Show one usage input: how its amounts came about, and what became of it in the last twenty runs."""
    with application() as app:
        shown = explain_usage_input(app, usage_input_id)
        while whole_history and shown["history_next"] is not None:
            page = usage_input_history(app, usage_input_id, limit=LONGEST_PAGE, after=shown["history_next"])
            shown |= {"history": page.items[::-1] + shown["history"], "history_next": page.next}
    if as_json:
        write_json(shown)
        return
    write_view(shown, COLUMNS, as_json=False)
    if shown["status"] == "Error":
        say(f"To do: correct it; `batchwright usage-inputs reset {usage_input_id}` makes it Loaded again")
    _write_explanations(shown["explanation"])
    history = _history(shown)
    if history:
        say("\nHistory")
        write_table(history, HISTORY_COLUMNS, indent="  ")
    if "history_pruned_until" in shown:
        runs = [f"{job} up to {instant(at)} UTC" for job, at in shown["history_pruned_until"].items()]
        say(f"  Pruned runs are not listed, nor what became of it in them: {', '.join(runs)}.")
    if shown["history_next"] is not None:
        say(f"  Earlier runs: batchwright usage-inputs show {usage_input_id} --whole-history")


@usage_inputs.command(
    "add",
    example="batchwright usage-inputs add --asset-line-item ALI-0001 --usage-date 2023-06-12 --quantity 5 "
    "--product-uom Each",
)
@click.option("--asset-line-item", metavar="ID", required=True, help="The asset line item that was used.")
@click.option("--usage-date", metavar="D", required=True, help="The day of the usage, YYYY-MM-DD.")
@click.option("--quantity", metavar="Q", required=True, help="How much, in plain decimal notation.")
@click.option("--product-uom", metavar="U", required=True, help="The unit of measure, as in the price.")
@click.option("--description", metavar="T", help="One line about it.")
@click.option(
    "--id", "usage_input_id", metavar="ID", help="An id of your own (default: the next free IN- number)."
)
@act_options
def add(
    asset_line_item: str,
    usage_date: str,
    quantity: str,
    product_uom: str,
    description: str | None,
    usage_input_id: str | None,
    act: Act,
) -> None:
    """Add one usage input."""
    with application() as app:
        added = operation.add_usage_input(
            app,
            asset_line_item_id=asset_line_item,
            usage_date=usage_date,
            quantity=quantity,
            product_uom=product_uom,
            description=description,
            usage_input_id=usage_input_id,
            **act.by(app),
        )
        write_view(added, COLUMNS, as_json=act.as_json)


@usage_inputs.command("edit", example="batchwright usage-inputs edit IN-00007052 --quantity 25")
@click.argument("usage_input_id", metavar="ID")
@click.option("--quantity", metavar="Q", help="Another quantity.")
@click.option("--usage-date", metavar="D", help="Another day, YYYY-MM-DD.")
@click.option("--description", metavar="T", help="Another description; an empty one takes it away.")
@act_options
def edit(
    usage_input_id: str, quantity: str | None, usage_date: str | None, description: str | None, act: Act
) -> None:
    """Change a usage input that is not rated; its draft amount is blanked until the next forecast."""
    with application() as app:
        edited = operation.edit_usage_input(
            app,
            usage_input_id,
            quantity=quantity,
            usage_date=usage_date,
            description=description,
            **act.by(app),
        )
        write_view(edited, COLUMNS, as_json=act.as_json)


@usage_inputs.command(
    "delete",
    example="batchwright usage-inputs delete IN-00007052 IN-00007053\n"
    "batchwright usage-inputs delete --where status=Error,customer_id=C-1002",
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@where_option
@act_options
@click.pass_obj
def delete(verbosity: Verbosity, ids: Sequence[str], where: str | None, act: Act) -> int | None:
    """Delete usage inputs that are not rated: all that are named, or none. Their ids stay taken.

    With a filter it is a run: what is rated, or changes its status meanwhile, is skipped.
    """
    if not ids and where is None:
        raise Refused("Missing argument", field="ID...", remedy="Give ids, or a filter with --where")
    if ids and where is not None:
        raise click.UsageError("Give ids, or a filter with --where, not both.")
    if where is not None:
        return act_on_match(verbosity, "usage-input-deletion", where, act)
    with application() as app:
        deleted = operation.delete_usage_inputs(app, ids, **act.by(app))
    act.answer({"deleted": deleted}, f"Deleted {counted(len(deleted), 'usage input')}: {joined(deleted)}")
    return None


@usage_inputs.command("reset", example="batchwright usage-inputs reset --status Error --code no_price")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--status", metavar="S", help="Error: all that are in Error, instead of ids.")
@click.option("--code", metavar="C", help="With --status: only those with this code.")
@click.option("--asset-line-item", metavar="ID", help="With --status: only those of one asset line item.")
@ids_from_option
@where_option
@act_options
@click.pass_obj
def reset(
    verbosity: Verbosity,
    ids: Sequence[str],
    status: str | None,
    code: str | None,
    asset_line_item: str | None,
    ids_from: list[str] | None,
    where: str | None,
    act: Act,
) -> int | None:
    """Set usage inputs in Error back to Loaded, so that they are rated again.

    With a filter it is a run: what is not in Error, or changes its status meanwhile, is skipped.
    """
    if ids and ids_from:
        raise click.UsageError("Give the ids as arguments or with --ids-from, not both.")
    if where is not None:
        if ids or ids_from or status or code or asset_line_item:
            raise click.UsageError("Give a filter with --where, or ids or a status, not both.")
        return act_on_match(verbosity, "usage-input-reset", where, act)
    with application() as app:
        report = operation.reset_usage_inputs(
            app,
            ids=ids_from or list(ids) or None,
            status=status,
            code=code,
            asset_line_item_id=asset_line_item,
            **act.by(app),
        )
    if act.as_json:
        write_json(report)
    else:
        say(f"Reset {counted(len(report['reset']), 'usage input')} to Loaded.")
        if report["untouched"]:
            say(f"Loaded already: {joined(report['untouched'])}")
    return None


def _write_explanations(explanation: View) -> None:
    rated, draft = explanation["rated"], explanation["draft"]
    if rated is not None and rated == draft:  # an amendment took both to zero
        _write_explanation("Rated amount and (Draft) rated amount", rated)
        return
    for found, title in ((rated, "Rated amount"), (draft, "(Draft) rated amount")):
        if found is not None:
            _write_explanation(title, found)


def _write_explanation(title: str, found: View) -> None:
    """What an amount was computed with, and its lines, which sum to it; or the amendment that took it to zero."""
    say(f"\n{title}: {found['currency']} {found['amount']}")
    if "amendment" in found:
        _write_amendment(found["amendment"])
        return
    price, contract = found["price"], found["contract"]
    revision = f"{price['price_book_id']} {price['product']} from {price['effective_from']}"
    indexing = "with" if price["usage_indexing"] else "without"
    agreed = "none" if contract is None else f"{contract['contract_id']}, revision {contract['revision']}"
    first = ", its first input by this price" if found["first_in_window"] else " by this price"
    facts = [
        ("  Run", f"{found['run_id']}{_pruned(found)}"),
        ("  Price", f"{revision}, revision {price['revision']}: {price['model']}, {indexing} usage indexing"),
        ("  Contract", f"{agreed}; discount {found['discount_percent']} %"),
        ("  Used before in the window", f"{found['prior_quantity']}{first}"),
    ]
    if found["usage_schedule_id"] is not None:
        billed = f"{found['billing_schedule_id']} ({found['billing_schedule_status']})"
        facts.append(("  Charged to", f"{found['usage_schedule_id']}, {billed}"))
    write_facts(facts)
    write_table(found["lines"], LINE_COLUMNS, indent="  ")


def _pruned(found: View) -> str:
    """What is said of a run that was pruned: the amount rests on nothing that is gone."""
    if "run_pruned_at" not in found:
        return ""
    return f", pruned on {found['run_pruned_at'][:10]}: its list of records is gone, the amount is not"


def _write_amendment(amendment: View) -> None:
    before = amendment["before"]
    facts = [
        ("  Set to zero by", f"the amendment of {before['asset_line_item_id']}"),
        ("  When and who", f"{instant(amendment['at'])} UTC, {amendment['actor']}"),
        ("  Reason", amendment["reason"]),
        ("  Superseded", f"{before['usage_schedule_id']}, {before['billing_schedule_id']}"),
        ("  Before", f"{before['status']}, {_amounts(before)}"),
        ("  To do", "forecast and rate again"),
    ]
    write_facts((name, fact) for name, fact in facts if fact is not None)


def _amounts(side: View) -> str:
    return f"rated {side['rated_amount'] or 'blank'}, draft {side['draft_rated_amount'] or 'blank'}"


def _history(shown: View) -> list[View]:
    """The outcomes by run and what people did, as one table in the order of time."""
    rows = [{**line, "at": line["started_at"], "what": line["type"]} for line in shown["history"]]
    rows += [{**act, "what": ACTS[act["act"]], "message": _change(act)} for act in shown["acts"]]
    return sorted(rows, key=lambda row: row["at"] or "")


def _change(act: View) -> str:
    """What an act changed of the input: ``quantity 20.00 -> 18.00, draft_rated_amount 4000.00 -> blank``."""
    before, after = act["before"], act["after"]
    if before is None:
        return ""
    return joined(
        f"{name} {_blank(before[name])} -> {_blank(after[name])}"
        for name in after
        if name in before and before[name] != after[name]
    )


def _blank(value: object) -> object:
    return "blank" if value is None else value
