"""`batchwright demo`: the sample company, from its CSV files to the mail, in a folder of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Sequence
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import partial
from pathlib import Path

import click

from batchwright.billing import sample
from batchwright.cli.driving import driven
from batchwright.cli.exits import DONE, WITH_ERRORS, exit_code_of
from batchwright.cli.groups import Command
from batchwright.cli.mail_text import as_text
from batchwright.cli.output import Column, Row, say, write_table
from batchwright.cli.run_views import LOG_COLUMNS, mail_result, run_result
from batchwright.cli.verbosity import Verbosity
from batchwright.config.settings import load_settings, operating_system_user
from batchwright.engine.errors import Refused
from batchwright.files import CannotWrite, new_file
from batchwright.operations.access.sign_in_link import own_sign_in_link
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.forecast import forecast
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import submit_run

MARKER = ".batchwright-demo"
MADE_HERE = ("batchwright.db*", "batchwright.toml", "mail", MARKER)
SETTINGS = """\
# The settings of the sample company, for commands given in this folder.
database_url = "sqlite:///batchwright.db"
actor = "erika"

[mail]
transport = "file"
directory = "mail"

[actors]
erika = "erika@example.com"
"""
ADMINISTRATOR = "erika@example.com"
FIRST_ASSET = "ALI-0001"
MAIL_LINES = 40
INPUT_COLUMNS = (
    Column("usage_input_id", "Input id"),
    Column("asset_number", "Asset no."),
    Column("status", "Status"),
    Column("quantity", "Quantity", numeric=True),
    Column("usage_date", "Usage date"),
    Column("product_uom", "Product UoM"),
    Column("currency", "Currency"),
    Column("draft_rated_amount", "(Draft) rated amount", numeric=True),
)
SCHEDULE_COLUMNS = (
    Column("usage_schedule_id", "Schedule id"),
    Column("period_start_date", "Period start"),
    Column("period_end_date", "Period end"),
    Column("currency", "Currency"),
    Column("draft_rated_quantity", "(Draft) rated quantity", numeric=True),
    Column("draft_fee_amount", "(Draft) fee amount", numeric=True),
)
FORECAST_COLUMNS = (
    Column("customer_id", "Customer"),
    Column("customer_name", "Name"),
    Column("currency", "Currency"),
    Column("draft_fee_amount", "(Draft) fee amount", numeric=True),
    Column("fee_amount", "Fee amount", numeric=True),
)
NEXT = (
    ("batchwright runs outcomes {run} --outcome error", "which inputs went wrong, and why"),
    ("batchwright usage-inputs edit {input} --quantity 25", "correct an input"),
    ("batchwright run draft-usage-rating --asset-line-item {asset}", "and forecast its asset again"),
    ("batchwright usage-inputs show {input}", "how its amount came about, and in which runs"),
    ("batchwright runs retry {run}", "do what went wrong again"),
    ("batchwright run usage-rating --dry-run", "what it would charge to rate for real"),
    ("batchwright forecast --by product", "draft amounts beside rated ones"),
    ("batchwright audit list", "who did what"),
)


@click.command("demo", cls=Command, example="batchwright demo\nbatchwright demo --folder /tmp/demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("batchwright-demo"),
    help="Where to put it (default: batchwright-demo). An earlier demo there is replaced.",
)
@click.pass_obj
def demo(verbosity: Verbosity, folder: Path) -> int:
    """Load the sample company, rate it, show what came of it.

    Makes a folder with settings, an embedded database and the mail. Nothing outside it is touched.
    """
    prepare(folder)
    # Without this process's variables: the demo is the same everywhere, and in its own database.
    app = make_application(load_settings({}, folder.absolute()))
    try:
        code = _show(app, verbosity)
        link = _link(app)
    finally:
        app.close()
    _say_next(folder, link)
    # That the sample company has bad inputs is part of the show.
    return DONE if code == WITH_ERRORS else code


def prepare(folder: Path) -> None:
    """Make the folder, or clear it of an earlier demo; anything else in it refuses the demo."""
    if folder.exists() and any(folder.iterdir()):
        if not _is_ours(folder / MARKER):
            raise Refused(
                f"the folder {folder} is there, and no earlier demo made it",
                field="--folder",
                remedy="Name a new folder, or an empty one, with --folder",
            )
        for made in (path for pattern in MADE_HERE for path in folder.glob(pattern)):
            shutil.rmtree(made) if made.is_dir() and not made.is_symlink() else made.unlink()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / MARKER, "Made by `batchwright demo`, which replaces it.\n")
        _write(folder / "batchwright.toml", SETTINGS)
    except CannotWrite as error:
        raise Refused(str(error), field="--folder", remedy="Name another folder with --folder") from None
    except OSError as error:
        raise Refused(
            f"the folder {folder} cannot be written: {error.strerror}",
            field="--folder",
            remedy="Name another one with --folder",
        ) from None


def _is_ours(marker: Path) -> bool:
    """Whether it is a plain file of the caller, no link: anybody may have put one into a folder that all may write."""
    try:
        there = marker.lstat()
    except OSError:
        return False
    return stat.S_ISREG(there.st_mode) and there.st_uid == os.geteuid()


def _write(path: Path, text: str) -> None:
    with new_file(path, sources=[], protected={}, may_replace=True) as file:
        file.text().write(text)
        file.publish()


def _show(app: Application, verbosity: Verbosity) -> int:
    actor = app.default_actor()
    _title("The sample company is loaded")
    report = import_paths(app, [sample.folder()], actor=actor)
    write_table(report["files"], (Column("file", "File"), Column("loaded", "Loaded", numeric=True)))

    before = list(list_usage_schedules(app, FIRST_ASSET))
    submitted = submit_run(app, "draft-usage-rating", {}, actor=actor, claim=True)
    _, interrupted = driven(app, verbosity, partial(drive_submitted, app, submitted))
    run = show_run(app, submitted.run_id)

    _show_first_asset(app, before)
    _title("The forecast of every customer")
    write_table(forecast(app, "customer"), FORECAST_COLUMNS)
    _title("The run log")
    write_table([run], [column for column in LOG_COLUMNS if column.text(run)])
    say()
    for line in (*run_result(run, app.database.display_url), *mail_result(run, app.settings)):
        say(line)
    _title("The mail")
    for message in _written(app.settings.mail.directory):
        say(as_text(message, longest=MAIL_LINES))
    return exit_code_of(run, interrupted=interrupted)


def _link(app: Application) -> str:
    """The link that signs who runs the demo in: an administrator of its console, tied to them, without a password."""
    actor, user = app.default_actor(), operating_system_user()
    add_user(app, ADMINISTRATOR, "administrator", os_user=user, actor=actor, reason="made by the demo")
    return own_sign_in_link(app, actor=actor)


def _show_first_asset(app: Application, before: Sequence[Row]) -> None:
    after = list(list_usage_schedules(app, FIRST_ASSET))
    touched = [place for place, row in enumerate(after) if row != before[place]]
    inputs = list(list_usage_inputs(app, FIRST_ASSET))
    number = inputs[0]["asset_number"]
    _title(f"Usage inputs of asset {number}, with their forecast")
    write_table(inputs, INPUT_COLUMNS)
    _title(f"Usage schedules of asset {number} before the run")
    write_table([before[place] for place in touched], SCHEDULE_COLUMNS)
    _title("… and after it")
    write_table([after[place] for place in touched], SCHEDULE_COLUMNS)


def _written(directory: Path) -> list[EmailMessage]:
    parser = BytesParser(policy=policy.default)
    return [parser.parsebytes(path.read_bytes()) for path in sorted(directory.glob("*.eml"))]


def _say_next(folder: Path, link: str) -> None:
    _title("Try next")
    words = {"run": "JR-00000001", "input": "IN-00007052", "asset": FIRST_ASSET}
    shown = [(command.format(**words), what) for command, what in NEXT]
    width = max(len(command) for command, _ in shown)
    say(f"cd {shlex.quote(str(folder))}")
    if shutil.which("batchwright") is None:
        # In a virtual environment that is not activated: what is pasted must work all the same.
        say(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH")
    for command, what in shown:
        say(f"{command:<{width}}  # {what}")
    _title("Open the console")
    say(f"{f'batchwright users password {ADMINISTRATOR}':<{width}}  # by which you sign in later")
    say(f"{'batchwright serve':<{width}}  # then open, within the hour; it signs you in, once:")
    say(link)
    if os.environ.get("BATCHWRIGHT_DATABASE_URL"):
        say("\nBATCHWRIGHT_DATABASE_URL is set and stands above the settings there: unset it first.")


def _title(text: str) -> None:
    say()
    say(text, bold=True)
    say("─" * len(text), dim=True)
