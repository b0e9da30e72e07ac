"""The table of roles, walked: every operation there is, as everybody there can be, on both databases."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from batchwright import operations
from batchwright.config.settings import operating_system_user
from batchwright.engine.schedule import ScheduleRequest
from batchwright.jobs import DraftUsageRatingJob
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.permissions import Forbidden, Right, permit, right_to_run
from batchwright.operations.access.users import add_user, disable_user
from batchwright.operations.app import Actor, Application
from batchwright.operations.billing.service import BillingService
from tests.operations.conftest import NOW

# The table of roles: what each operation needs.
NEEDED = {
    Right.LOOK: {
        "list_asset_line_items",
        "show_asset_line_item",
        "list_account_charges",
        "list_billing_schedules",
        "show_billing_schedule",
        "explain_usage_input",
        "forecast",
        "list_jobs",
        "show_job",
        "list_mail",
        "preview_mail",
        "show_mail",
        "list_runs",
        "run_outcomes",
        "run_preview",
        "show_run",
        "list_fires",
        "list_schedules",
        "next_fires",
        "read_hold",
        "show_schedule",
        "what_is_asked",
        "list_usage_inputs",
        "show_usage_input",
        "list_usage_schedules",
    },
    Right.OPERATE: {
        "amend_asset_line_item",
        "preview_amendment",
        "backfill_schedule",
        "execute_batch",
        "retry_mail",
        "drive_run",
        "resume_run",
        "retry_run",
        "submit_run",
        "apply_run",
        "apply_schedules",
        "add_schedule",
        "pause_schedule",
        "remove_schedule",
        "resume_schedule",
        "run_now",
        "schedule",
        "update_schedule",
        "abort_run",
        "move_run",
        "pause_run",
        "release_run",
        "add_usage_input",
        "delete_usage_inputs",
        "edit_usage_input",
        "reset_usage_inputs",
    },
    Right.BILLING: {
        "set_billing_schedule_status",
        "import_paths",
        "recalculation_offer",
    },
    Right.ADMINISTER: {
        "list_audit",
        "verify_audit",
        "backup_database",
        "hold_run",
        "hold_all",
        "release_all",
        "add_user",
        "disable_user",
        "enable_user",
        "list_users",
        "make_token",
        "set_mail",
        "set_password",
        "set_role",
    },
}

# What takes an application and is no act of a person.
NO_ACT = {
    "filter_key": "part of listings, which ask",
    "broken_jobs": "looks at installed packages only",
    "described_job": "makes help pages, without a database",
    "described_jobs": "makes help pages, without a database",
    "send_due_mail": "the end of other acts",
    "check_database": "also for a database without the table of users",
    "upgrade_database": "makes the table of users",
    "look": "the worker's act",
    "watch_loop": "the worker's act",
    "owns_file": "part of the question itself",
    "permit": "the question itself",
    "enqueue": "part of submits, which ask",
    "permit_for_run": "the question itself",
    "listing": "part of lists, which ask",
    "tell_submitted": "part of submits, which ask",
    "check_request": "part of changes, which ask",
    "permit_schedule": "the question itself",
    "enqueue_set": "part of submits, which ask",
    "submit_of_schedules": "the scheduler's act",
    "permit_change": "the question itself",
    "seal_committed": "the worker's act",
    "make_digests": "the worker's act",
}


def operations_there_are() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function of the package that takes an application."""
    for module_info in pkgutil.walk_packages(operations.__path__, "batchwright.operations."):
        module = importlib.import_module(module_info.name)
        for name, function in vars(module).items():
            if not inspect.isfunction(function) or function.__module__ != module.__name__:
                continue
            parameters = inspect.signature(function).parameters
            if not name.startswith("_") and "app" in parameters:
                yield name, function


FOUND = dict(operations_there_are())
ACTS = {name: right for right, names in NEEDED.items() for name in names}


def call(app: Application, name: str, actor: Actor, folder: Path) -> None:
    """Call an operation with values that nothing can be done with: whoever gets so far is refused for those."""
    texts: dict[str, Any] = {
        "actor": actor,
        "begin": NOW,
        "changes": {},
        "end": NOW,
        "file": folder / "x" / "y",
        "ids": ["x"],
        "job": DraftUsageRatingJob(usage_input_ids=["x"]),
        "request": ScheduleRequest(name="x", cron="x", job="x"),
        "parameters": {},
        "paths": [folder / "x"],
        "text": "x",
    }
    function = FOUND[name]
    wanted = {
        parameter.name: texts.get(parameter.name, "x")
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in ("app", "fields")
        and (parameter.default is parameter.empty or parameter.name == "actor")
    }
    function(app=app, **wanted)


def is_forbidden(app: Application, name: str, actor: Actor, folder: Path) -> bool:
    try:
        call(app, name, actor, folder)
    except Forbidden:
        return True
    except Exception:
        return False  # refused for the values, or whatever came of them
    return False


@pytest.fixture
def people(app: Application) -> dict[str, Actor]:
    """An actor for each role, by role, and one who is nobody."""
    administrator = Actor("ada@example.com", operating_system_user())
    add_user(app, "ada@example.com", Right.ADMINISTER, os_user="u-administrator", actor=administrator)
    ada = Actor("ada", "u-administrator")
    people = {"nobody": Actor("nobody", "u-nobody"), str(Right.ADMINISTER): ada}
    for number, right in enumerate([Right.LOOK, Right.OPERATE, Right.BILLING]):
        add_user(app, f"user{number}@example.com", right, os_user=f"u-{number}", actor=ada)
        people[right] = Actor(f"somebody {number}", f"u-{number}")
    return people


def test_every_operation_is_in_the_table_of_roles_or_is_no_act() -> None:
    assert set(FOUND) == set(ACTS) | set(NO_ACT)


def test_every_operation_is_forbidden_to_those_without_the_role_and_to_nobody_else(
    app: Application, people: dict[str, Actor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = list(Right)
    for name, needed in ACTS.items():
        for role, actor in people.items():
            # Operations without an actor among their values act as the settings say.
            monkeypatch.setattr(
                "batchwright.operations.access.permissions.default_actor", lambda _, actor=actor: actor
            )
            monkeypatch.setattr(
                "batchwright.operations.runs.batches.default_actor", lambda _, actor=actor: actor
            )
            monkeypatch.setattr(
                "batchwright.operations.schedules.schedules.default_actor", lambda _, actor=actor: actor
            )
            allowed = role != "nobody" and roles.index(Right(role)) >= roles.index(needed)
            assert is_forbidden(app, name, actor, tmp_path) is not allowed, (name, role)


def test_every_refusal_leaves_one_audit_entry_that_names_the_act_and_the_role(
    app: Application, people: dict[str, Actor], tmp_path: Path
) -> None:
    takes_actor = [name for name in ACTS if "actor" in inspect.signature(FOUND[name]).parameters]
    for name in takes_actor:
        assert is_forbidden(app, name, people["nobody"], tmp_path)
    entries = list(list_audit(app, len(takes_actor), actor=people[Right.ADMINISTER]))
    assert {entry["act"] for entry in entries} == {"permission.refused"}
    assert {entry["os_user"] for entry in entries} == {"u-nobody"}
    assert [Right(entry["after"]["needed"]) for entry in reversed(entries)] == [
        ACTS[name] for name in takes_actor
    ]
    assert all(entry["subject"] and entry["subject"] != "x" for entry in entries)


def test_the_services_of_billing_are_forbidden_to_a_viewer(
    app: Application, people: dict[str, Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in ("access.permissions", "billing.service"):
        monkeypatch.setattr(f"batchwright.operations.{where}.default_actor", lambda _: people[Right.LOOK])
    service = BillingService(app)
    flavours: list[Callable[[], object]] = [
        lambda: service.draft_pending_usage_input(),
        lambda: service.draft_pending_usage_input(process_synchronously=True),
        lambda: service.draft_pending_usage_input_related_to_asset_line_items(["x"]),
        lambda: service.process_pending_usage_input(),
        lambda: service.process_rated_usage_input(["x"]),
    ]
    for flavour in flavours:
        with pytest.raises(Forbidden):
            flavour()


def test_running_a_recalculation_takes_a_billing_utilities_admin() -> None:
    assert right_to_run("data-recalculation") is Right.BILLING
    assert right_to_run("draft-usage-rating") is Right.OPERATE


def test_a_refusal_says_which_role_is_needed_and_how_to_get_it(
    app: Application, people: dict[str, Actor]
) -> None:
    with pytest.raises(Forbidden) as refused:
        permit(app, people[Right.LOOK], Right.BILLING, "import")
    assert refused.value.message == (
        "this needs the role Billing Utilities Admin, and user0@example.com has the role viewer"
    )
    assert (
        refused.value.remedy
        == "Ask an administrator: `batchwright users role user0@example.com 'Billing Utilities Admin'`"
    )
    with pytest.raises(Forbidden, match="u-nobody is no user of this database") as refused:
        permit(app, people["nobody"], Right.LOOK, "run.list")
    assert "users add EMAIL --role viewer --os-user u-nobody" in str(refused.value.remedy)


@pytest.mark.parametrize("name", ["user0@example.com", "USER0@Example.com", "Zoe <user0@example.com>", "u-0"])
def test_a_claim_to_be_a_user_is_held_to_that_user_s_role(
    app: Application, people: dict[str, Actor], name: str
) -> None:
    claiming = Actor(name, people[Right.ADMINISTER].os_user)
    permit(app, claiming, Right.LOOK, "run.list")
    with pytest.raises(Forbidden, match=r"user0@example\.com has the role viewer"):
        permit(app, claiming, Right.OPERATE, "run.submit")


def test_a_claim_does_not_widen_what_one_may_do(app: Application, people: dict[str, Actor]) -> None:
    with pytest.raises(Forbidden, match=r"user0@example\.com has the role viewer"):
        permit(app, Actor("ada@example.com", people[Right.LOOK].os_user), Right.OPERATE, "run.submit")
    with pytest.raises(Forbidden, match="u-nobody is no user"):
        permit(app, Actor("ada@example.com", "u-nobody"), Right.LOOK, "run.list")


def test_a_disabled_user_may_do_nothing_and_nobody_may_in_their_name(
    app: Application, people: dict[str, Actor]
) -> None:
    ada = people[Right.ADMINISTER]
    disable_user(app, "user1@example.com", actor=ada)
    for actor in (people[Right.OPERATE], Actor("user1@example.com", ada.os_user)):
        with pytest.raises(Forbidden, match=r"user1@example\.com is disabled"):
            permit(app, actor, Right.LOOK, "run.list")


def test_without_a_user_the_owner_of_an_embedded_file_may_do_everything_and_nobody_else_anything(
    app: Application,
) -> None:
    permit(app, Actor("owner", operating_system_user()), Right.ADMINISTER, "audit.list")
    stranger = Actor("stranger", "u-stranger")
    if app.database.is_sqlite:
        with pytest.raises(Forbidden, match="u-stranger is no user"):
            permit(app, stranger, Right.LOOK, "run.list")
    else:  # on a server everybody may, until the first user is made
        permit(app, stranger, Right.ADMINISTER, "user.add")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_who_does_not_own_the_file_is_no_administrator_of_it(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwright.operations.access.permissions.login_name", lambda uid: "somebody-else")
    with pytest.raises(Forbidden):
        permit(app, Actor("root", operating_system_user()), Right.LOOK, "run.list")
    permit(app, Actor("owner", "somebody-else"), Right.ADMINISTER, "user.list")


def test_the_first_user_of_a_server_ends_that_everybody_may_do_everything(
    app: Application, people: dict[str, Actor]
) -> None:
    allowed = app.database.is_sqlite  # there the owner of the file stays an administrator
    owner = Actor("owner", operating_system_user())
    if allowed:
        permit(app, owner, Right.ADMINISTER, "user.list")
    else:
        with pytest.raises(Forbidden, match="is no user of this database"):
            permit(app, owner, Right.LOOK, "run.list")


def test_a_refusal_inside_a_caller_s_transaction_is_recorded_in_it(
    app: Application, people: dict[str, Actor]
) -> None:
    with app.database.write() as connection:
        with pytest.raises(Forbidden):
            permit(app, people[Right.LOOK], Right.OPERATE, "run.submit", connection)
        connection.rollback()
    entries = list_audit(app, actor=people[Right.ADMINISTER])
    assert "permission.refused" not in {entry["act"] for entry in entries}


def test_a_refused_attempt_is_refused_also_where_it_cannot_be_recorded(
    app: Application, people: dict[str, Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_disk() -> Any:
        raise OSError("read-only file system")

    monkeypatch.setattr(app.database, "write", no_disk)
    with pytest.raises(Forbidden):
        permit(app, people[Right.LOOK], Right.OPERATE, "run.submit")


def test_a_permission_is_one_statement_beside_the_look_at_the_revision(
    app: Application, people: dict[str, Actor]
) -> None:
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT"):
            statements.append(arguments[2])

    event.listen(app.database.engine, "before_cursor_execute", note)
    permit(app, people[Right.OPERATE], Right.OPERATE, "run.submit")
    event.remove(app.database.engine, "before_cursor_execute", note)
    assert [("app_user" in statement) for statement in statements] == [False, True]
