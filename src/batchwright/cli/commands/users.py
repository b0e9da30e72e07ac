"""`batchwright users`: who may do what, and which mail they get."""

from __future__ import annotations

import sys

import click

from batchwright.cli.groups import Group
from batchwright.cli.options import json_option, limit_option
from batchwright.cli.output import Column, Format, write_rows, write_view
from batchwright.cli.session import Act, act_options, application
from batchwright.cli.show import instant
from batchwright.operations.access import sessions as operations_on_sessions
from batchwright.operations.access import tokens as operations_on_tokens
from batchwright.operations.access import users as operation
from batchwright.operations.browsers import browser_words

COLUMNS = (
    Column("email", "Address"),
    Column("role", "Role"),
    Column("os_user", "System user"),
    Column("mail", "Mail"),
    Column("disabled", "Disabled", show=lambda disabled: "yes" if disabled else "no"),
    Column("has_password", "Password", show=lambda has: "yes" if has else "no"),
    Column("has_token", "Token", show=lambda has: "yes" if has else "no"),
    Column("created_at", "Created UTC", show=instant),
)

TOKEN_COLUMNS = (
    Column("token_id", "Token", numeric=True),
    Column("name", "Name"),
    Column("prefix", "Begins with"),
    Column("role", "At most"),
    Column("status", "Status"),
    Column("expires_at", "Expires UTC", show=instant),
    Column("last_used_at", "Last used UTC", show=instant),
    Column("created_at", "Created UTC", show=instant),
    Column("created_by", "Created by"),
    Column("revoked_at", "Revoked UTC", show=instant),
)

SESSION_COLUMNS = (
    Column("session_id", "Session", numeric=True),
    Column("address", "Signed in from"),
    Column("browser", "Browser", show=browser_words),
    Column("created_at", "Since UTC", show=instant),
    Column("last_used_at", "Last used UTC", show=instant),
    Column("ends_at", "Ends UTC", show=instant),
)


@click.group(
    "users", cls=Group, example="batchwright users add jane@example.com --role operator --os-user jane"
)
def users() -> None:
    """Users, their roles, and the mail they want.

    The roles are viewer, operator, Billing Utilities Admin and administrator.
    """


@users.command("add", example="batchwright users add jane@example.com --role operator --os-user jane")
@click.argument("email", metavar="EMAIL")
@click.option(
    "--role", required=True, metavar="R", help="viewer, operator, 'Billing Utilities Admin', administrator."
)
@click.option("--os-user", metavar="NAME", help="Their login name: who they are on the command line.")
@act_options
def add(email: str, role: str, os_user: str | None, act: Act) -> None:
    """Add a user."""
    with application() as app:
        write_view(
            operation.add_user(app, email, role, os_user=os_user, **act.by(app)), COLUMNS, as_json=act.as_json
        )


@users.command("list", example="batchwright users list --json")
@limit_option
@json_option
def list_(limit: int | None, format: Format) -> None:
    """List the users by address."""
    with application() as app:
        rows = operation.list_users(app, limit)
    write_rows(rows, COLUMNS, format=format, nothing="There is no user.")


@users.command("role", example="batchwright users role jane@example.com 'Billing Utilities Admin'")
@click.argument("email", metavar="EMAIL")
@click.argument("role", metavar="R")
@click.option(
    "--os-user", metavar="NAME", help="Another login name for them; '' for none (default: unchanged)."
)
@act_options
def role(email: str, role: str, os_user: str | None, act: Act) -> None:
    """Give a user another role, or tie them to another login name."""
    with application() as app:
        write_view(
            operation.set_role(app, email, role, os_user=os_user, **act.by(app)), COLUMNS, as_json=act.as_json
        )


@users.command("password", example="batchwright users password jane@example.com")
@click.argument("email", metavar="EMAIL")
@click.option("--password-stdin", "from_stdin", is_flag=True, help="Read it from standard input, one line.")
@act_options
def password(email: str, from_stdin: bool, act: Act) -> None:
    """Give a user a password: asked for twice, or read with --password-stdin."""
    if from_stdin:
        text = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    else:
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    with application() as app:
        write_view(operation.set_password(app, email, text, **act.by(app)), COLUMNS, as_json=act.as_json)


@users.command("token", example="batchwright users token jane@example.com --name nightly --role operator")
@click.argument("email", metavar="EMAIL")
@click.option("--name", metavar="N", help="Its name (default: token-1 and so on).")
@click.option("--role", metavar="R", help="The most it allows (default: all that the user may do).")
@click.option("--expires", metavar="DATE", help="The last day on which it is valid (default: in a year).")
@act_options
def token(email: str, name: str | None, role: str | None, expires: str | None, act: Act) -> None:
    """Make a token for the API, beside those they have, and print it, this once."""
    with application() as app:
        made = operations_on_tokens.make_token(
            app, email, name=name, role=role, expires=expires, **act.by(app)
        )
    act.answer({"email": email, "token": made.text, **made.view}, made.text)


@users.command("tokens", example="batchwright users tokens jane@example.com")
@click.argument("email", metavar="EMAIL")
@json_option
def tokens(email: str, format: Format) -> None:
    """List the tokens that a user ever had, oldest first; what they are made of is kept nowhere."""
    with application() as app:
        rows = operations_on_tokens.list_tokens(app, email)
    write_rows(rows, TOKEN_COLUMNS, format=format, nothing="They never had a token.")


@users.command("revoke-token", example="batchwright users revoke-token jane@example.com nightly")
@click.argument("email", metavar="EMAIL")
@click.argument("name", metavar="NAME")
@act_options
def revoke_token(email: str, name: str, act: Act) -> None:
    """End a token of a user at once."""
    with application() as app:
        revoked = operations_on_tokens.revoke_token(app, email, name, **act.by(app))
    write_view(revoked, TOKEN_COLUMNS, as_json=act.as_json)


@users.command(
    "sessions", example="batchwright users sessions jane@example.com --end-all --reason 'lost laptop'"
)
@click.argument("email", metavar="EMAIL")
@click.option("--end", "ended", type=int, metavar="SESSION", help="End this one.")
@click.option("--end-all", is_flag=True, help="End all of them.")
@act_options
def sessions(email: str, ended: int | None, end_all: bool, act: Act) -> None:
    """List the sessions by which a user is signed in to the console, or end one or all; then those that are left."""
    if end_all and ended is not None:
        raise click.UsageError("Give --end SESSION for one or --end-all for all of them.")
    with application() as app:
        by = act.by(app)
        if ended is not None:
            operations_on_sessions.end_session(app, email, ended, **by)
        if end_all:
            operations_on_sessions.end_sessions(app, email, **by)
        rows = operations_on_sessions.list_sessions(app, email, actor=by["actor"])
    write_rows(rows, SESSION_COLUMNS, format=act.format, nothing="They are signed in nowhere.")


@users.command("disable", example="batchwright users disable jane@example.com --reason 'has left'")
@click.argument("email", metavar="EMAIL")
@act_options
def disable(email: str, act: Act) -> None:
    """Disable a user: they may do nothing from then on. Their entries in the audit trail stay."""
    with application() as app:
        write_view(operation.disable_user(app, email, **act.by(app)), COLUMNS, as_json=act.as_json)


@users.command("enable", example="batchwright users enable jane@example.com")
@click.argument("email", metavar="EMAIL")
@act_options
def enable(email: str, act: Act) -> None:
    """Let a disabled user act again, with the role they had."""
    with application() as app:
        write_view(operation.enable_user(app, email, **act.by(app)), COLUMNS, as_json=act.as_json)


@users.command("preferences", example="batchwright users preferences jane@example.com --mail errors")
@click.argument("email", metavar="EMAIL")
@click.option(
    "--mail", required=True, metavar="always|errors|never|digest", help="Which mail of ended runs they get."
)
@act_options
def preferences(email: str, mail: str, act: Act) -> None:
    """Say which mail a user gets: always, only with errors, never, or one digest a day."""
    with application() as app:
        write_view(operation.set_mail(app, email, mail, **act.by(app)), COLUMNS, as_json=act.as_json)
