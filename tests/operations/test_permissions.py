"""The table of roles, walked: every operation there is, as everybody there can be, on both databases."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from batchwright import operations
from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.jobs import DraftUsageRatingJob
from batchwright.operations.access.audit_trail import (
    audit_page,
    list_audit,
    verify_audit,
    verify_audit_in_parts,
)
from batchwright.operations.access.confirming import confirm_password
from batchwright.operations.access.invitations import invite_user, make_password_link
from batchwright.operations.access.own_password import change_password
from batchwright.operations.access.permissions import Forbidden, Right, permit, right_to_run
from batchwright.operations.access.sessions import (
    end_session,
    end_sessions,
    list_sessions,
    sessions_page,
    sign_out,
)
from batchwright.operations.access.sign_in_link import own_sign_in_link
from batchwright.operations.access.tokens import list_tokens, make_token, revoke_token, tokens_page
from batchwright.operations.access.users import (
    add_user,
    disable_user,
    enable_user,
    list_users,
    set_mail,
    set_password,
    set_role,
    show_me,
    show_user,
    users_page,
)
from batchwright.operations.acknowledging import acknowledge, show_trouble, what_needs_somebody
from batchwright.operations.actor import Door
from batchwright.operations.app import Actor, Application
from batchwright.operations.billing.amendments import amend_asset_line_item, preview_amendment
from batchwright.operations.billing.asset_line_items import (
    asset_line_items_page,
    list_asset_line_items,
    show_asset_line_item,
)
from batchwright.operations.billing.billing_schedules import (
    billing_schedules_page,
    list_billing_schedules,
    many_billing_schedules_move,
    preview_billing_schedule_status,
    set_billing_schedule_status,
    show_billing_schedule,
    sum_billing_schedules_that_move,
)
from batchwright.operations.billing.explanations import explain_usage_input, usage_input_history
from batchwright.operations.billing.forecast import forecast, look_at_forecast
from batchwright.operations.billing.imports import import_paths, import_uploads, imports_page
from batchwright.operations.billing.loaded import (
    Kind,
    customer_named,
    list_loaded,
    loaded_page,
    prices_of_asset,
    show_loaded,
)
from batchwright.operations.billing.recalculation import (
    find_recalculation_customers,
    list_account_charges,
    page_of_account_charges,
    recalculation_offer,
)
from batchwright.operations.billing.selections import (
    select_usage_inputs,
    show_selection,
    submit_on_selection,
    sum_usage_inputs,
)
from batchwright.operations.billing.service import BillingService
from batchwright.operations.billing.usage_inputs import (
    add_usage_input,
    delete_usage_inputs,
    edit_usage_input,
    list_usage_inputs,
    reset_usage_inputs,
    show_usage_input,
    usage_inputs_page,
)
from batchwright.operations.billing.usage_schedules import (
    list_usage_schedules,
    show_usage_schedule,
    usage_schedules_page,
)
from batchwright.operations.database import backup_database
from batchwright.operations.mail import (
    failed_mail,
    list_mail,
    mail_page,
    preview_mail,
    read_message,
    retry_mail,
    retry_mails,
    show_mail,
)
from batchwright.operations.runs.batches import execute_batch
from batchwright.operations.runs.controls import (
    abort_run,
    hold_run,
    move_run,
    pause_run,
    release_run,
    what_is_asked,
)
from batchwright.operations.runs.driving import drive_run, driven_run, resume_run
from batchwright.operations.runs.foreseeing import foresee_run
from batchwright.operations.runs.jobs import list_jobs, show_job
from batchwright.operations.runs.looking import (
    last_completed,
    list_runs,
    outcome_summary,
    page_of_outcomes,
    page_of_runs,
    run_outcomes,
    show_run,
)
from batchwright.operations.runs.previews import apply_run, page_of_preview, preview_parts, run_preview
from batchwright.operations.runs.progress import run_progress
from batchwright.operations.runs.pruning import preview_prune, prune_runs
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.runs.waiting import list_at_work, list_waiting
from batchwright.operations.schedules.backfill import backfill_schedule, backfill_window
from batchwright.operations.schedules.files import apply_schedules
from batchwright.operations.schedules.looking import ScheduleFilter, foresee_times, look_at_schedules
from batchwright.operations.schedules.schedules import (
    add_schedule,
    fires_page,
    hold_all,
    list_fires,
    list_schedules,
    list_troubles,
    next_fires,
    pause_schedule,
    preview_rewind,
    read_hold,
    release_all,
    remove_schedule,
    resume_schedule,
    rewind_schedules,
    run_now,
    schedule,
    schedules_page,
    show_schedule,
    update_schedule,
)
from batchwright.operations.troubles import service_troubles
from batchwright.operations.workers import list_workers, workers_page
from tests.support.application import NOW, remove_user, web_actor
from tests.support.rungs import depth

# The table of roles: what each operation needs.
NEEDED = {
    Right.LOOK: {
        "list_asset_line_items",
        "asset_line_items_page",
        "show_asset_line_item",
        "list_account_charges",
        "page_of_account_charges",
        "customer_named",
        "list_loaded",
        "loaded_page",
        "billing_schedules_page",
        "show_loaded",
        "list_billing_schedules",
        "show_billing_schedule",
        "explain_usage_input",
        "usage_input_history",
        "sum_usage_inputs",
        "forecast",
        "list_jobs",
        "show_job",
        "list_mail",
        "failed_mail",
        "mail_page",
        "preview_mail",
        "show_mail",
        "read_message",
        "list_runs",
        "list_at_work",
        "last_completed",
        "prices_of_asset",
        "list_waiting",
        "page_of_runs",
        "page_of_outcomes",
        "outcome_summary",
        "run_progress",
        "run_outcomes",
        "run_preview",
        "page_of_preview",
        "preview_parts",
        "show_run",
        "driven_run",
        "list_fires",
        "fires_page",
        "list_schedules",
        "schedules_page",
        "next_fires",
        "list_troubles",
        "look_at_schedules",
        "look_at_forecast",
        "foresee_times",
        "backfill_window",
        "preview_rewind",
        "show_trouble",
        "what_needs_somebody",
        "read_hold",
        "show_schedule",
        "what_is_asked",
        "list_usage_inputs",
        "show_usage_input",
        "usage_inputs_page",
        "list_usage_schedules",
        "show_usage_schedule",
        "usage_schedules_page",
        "list_workers",
        "service_troubles",
        "workers_page",
        "show_me",
        "sign_out",
        "change_password",
        "confirm_password",
        "own_sign_in_link",
    },
    Right.OPERATE: {
        "acknowledge",
        "amend_asset_line_item",
        "preview_amendment",
        "backfill_schedule",
        "rewind_schedules",
        "execute_batch",
        "retry_mail",
        "retry_mails",
        "drive_run",
        "resume_run",
        "retry_run",
        "submit_run",
        "foresee_run",
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
        "select_usage_inputs",
        "show_selection",
        "submit_on_selection",
        "add_usage_input",
        "delete_usage_inputs",
        "edit_usage_input",
        "reset_usage_inputs",
    },
    Right.BILLING: {
        "set_billing_schedule_status",
        "many_billing_schedules_move",
        "sum_billing_schedules_that_move",
        "preview_billing_schedule_status",
        "import_paths",
        "import_uploads",
        "imports_page",
        "recalculation_offer",
        "find_recalculation_customers",
    },
    Right.ADMINISTER: {
        "list_audit",
        "audit_page",
        "verify_audit",
        "verify_audit_in_parts",
        "backup_database",
        "hold_run",
        "preview_prune",
        "prune_runs",
        "hold_all",
        "release_all",
        "add_user",
        "disable_user",
        "enable_user",
        "list_users",
        "users_page",
        "show_user",
        "invite_user",
        "make_password_link",
        "make_token",
        "list_tokens",
        "tokens_page",
        "revoke_token",
        "list_sessions",
        "sessions_page",
        "end_session",
        "end_sessions",
        "set_mail",
        "set_password",
        "set_role",
    },
}

# What takes an application and is no act of a person.
NO_ACT = {
    "filter_key": "part of listings, which ask",
    "asset_row": "part of looks, which ask",
    "is_added_up": "part of a wait, which asks",
    "refused_pings": "a part of `config check`, which also works without a database",
    "broken_jobs": "looks at installed packages only",
    "described_job": "makes help pages, without a database",
    "described_jobs": "makes help pages, without a database",
    "send_due_mail": "the end of other acts",
    "check_database": "also for a database without the table of users",
    "upgrade_database": "makes the table of users",
    "look": "the worker's act",
    "watch_loop": "the worker's act",
    "ping_loop": "the worker's act",
    "call_pings": "the worker's act",
    "notify_late": "the worker's act",
    "owns_file": "part of the question itself",
    "own_files": "part of imports and backups, which ask",
    "file_to_write": "part of imports and backups, which ask",
    "permit": "the question itself",
    "permitted": "the question itself",
    "show_run_to": "asks of many at once: `permitted`",
    "authenticate_token": "comes before the question",
    "authenticate_session": "comes before the question",
    "why_signed_out": "comes before the question",
    "sign_in": "comes before the question",
    "password_is_due": "comes before the question",
    "check_has_password": "comes before the question",
    "right_over": "part of the question itself",
    "count_try": "comes before the question",
    "request_reset": "comes before the question",
    "mail_reset": "goes to the user alone",
    "unsubscribe": "asks for the code of a mail",
    "email_of_reset": "asks for the code of a link",
    "reset_password": "asks for the code of a link",
    "record_account_mail": "part of acts, which ask",
    "existing_run": "part of acts, which ask",
    "look_at_run": "part of acts, which ask",
    "run_version": "part of acts, which ask",
    "all_with_last": "part of looks at schedules, which ask",
    "has_users": "for who cannot be asked anything: there is not a user",
    "first_administrator_code": "for who starts the service, where there is not a user",
    "first_administrator_is_possible": "asks for the code of a link",
    "add_first_administrator": "asks for the code of a link",
    "link_signs_in": "asks for the code of a link",
    "sign_in_by_link": "asks for the code of a link",
    "clock_ahead_seconds": "a part of `service_troubles` and of a worker's beat",
    "enqueue": "part of submits, which ask",
    "right_to_run": "part of the question itself",
    "permit_for_run": "the question itself",
    "publish_submitted": "part of submits, which ask",
    "submit": "part of submits, which ask",
    "drive_submitted": "who might submit the run may drive it",
    "check_application": "looks at an argument, and at nothing else",
    "check_request": "part of changes, which ask",
    "permit_schedule": "the question itself",
    "enqueue_set": "part of submits, which ask",
    "submit_of_schedules": "the scheduler's act",
    "make_ready": "the scheduler's act",
    "firing_of": "the worker's act",
    "check_ahead": "part of submits, which ask",
    "narrowed": "part of lists, which ask",
    "permit_change": "the question itself",
    "seal_committed": "the worker's act",
    "make_digests": "the worker's act",
    "prune_selections": "the worker's act",
    "delete_pruned": "the rest of an act, which asked; a worker does it, too",
    "refresh_forecast": "the worker's act",
    "prune_sign_ins": "the worker's act",
    "prune_keyed_calls": "the worker's act",
    "answer_once": "around acts, which ask",
    "kept_answer": "what one's own act was answered",
    "is_small": "part of submits, which ask",
    "notify_of_expiring_tokens": "the worker's act",
    "service_figures": "what machines measure; it names no record and nobody",
    "missing_parts": "what machines probe, before they are anybody; it names no record",
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


def calls(app: Application, actor: Actor, folder: Path) -> dict[str, Callable[[], object]]:
    """Each operation with values that nothing can be done with: who may do it is refused for those, if at all."""
    job, ids = DraftUsageRatingJob(usage_input_ids=["x"]), ["x"]
    request = ScheduleRequest(name="x", cron="x", job="x")
    return {
        "list_asset_line_items": lambda: list_asset_line_items(app, actor=actor),
        "asset_line_items_page": lambda: asset_line_items_page(app, actor=actor),
        "show_asset_line_item": lambda: show_asset_line_item(app, "x", actor=actor),
        "customer_named": lambda: customer_named(app, "x", actor=actor),
        "list_loaded": lambda: list_loaded(app, Kind.PRICE, actor=actor),
        "loaded_page": lambda: loaded_page(app, Kind.PRICE, actor=actor),
        "billing_schedules_page": lambda: billing_schedules_page(app, actor=actor),
        "show_loaded": lambda: show_loaded(app, Kind.PRICE, "x", actor=actor),
        "list_account_charges": lambda: list_account_charges(app, actor=actor),
        "page_of_account_charges": lambda: page_of_account_charges(app, actor=actor),
        "list_billing_schedules": lambda: list_billing_schedules(app, actor=actor),
        "show_billing_schedule": lambda: show_billing_schedule(app, "x", actor=actor),
        "usage_input_history": lambda: usage_input_history(app, "x", actor=actor),
        "explain_usage_input": lambda: explain_usage_input(app, "x", actor=actor),
        "forecast": lambda: forecast(app, actor=actor),
        "list_jobs": lambda: list_jobs(app, actor=actor),
        "show_job": lambda: show_job(app, "x", actor=actor),
        "failed_mail": lambda: failed_mail(app, 1, actor=actor),
        "mail_page": lambda: mail_page(app, actor=actor),
        "list_mail": lambda: list_mail(app, actor=actor),
        "preview_mail": lambda: preview_mail(app, "x", actor=actor),
        "show_mail": lambda: show_mail(app, "x", actor=actor),
        "read_message": lambda: read_message(app, "x", actor=actor),
        "list_runs": lambda: list_runs(app, actor=actor),
        "prices_of_asset": lambda: prices_of_asset(app, "x", actor=actor),
        "last_completed": lambda: last_completed(app, "usage-rating", actor=actor),
        "list_at_work": lambda: list_at_work(app, 1, actor=actor),
        "list_waiting": lambda: list_waiting(app, actor=actor),
        "page_of_runs": lambda: page_of_runs(app, actor=actor),
        "page_of_outcomes": lambda: page_of_outcomes(app, "x", actor=actor),
        "outcome_summary": lambda: outcome_summary(app, "x", actor=actor),
        "run_progress": lambda: run_progress(app, "x", actor=actor),
        "run_outcomes": lambda: run_outcomes(app, "x", actor=actor),
        "preview_parts": lambda: preview_parts(app, "x", actor=actor),
        "run_preview": lambda: run_preview(app, "x", actor=actor),
        "page_of_preview": lambda: page_of_preview(app, "x", actor=actor),
        "show_run": lambda: show_run(app, "x", actor=actor),
        "fires_page": lambda: fires_page(app, "x", actor=actor),
        "driven_run": lambda: driven_run(app, "x", actor=actor),
        "list_fires": lambda: list_fires(app, "x", actor=actor),
        "schedules_page": lambda: schedules_page(app, actor=actor),
        "list_schedules": lambda: list_schedules(app, actor=actor),
        "list_troubles": lambda: list_troubles(app, actor=actor),
        "look_at_forecast": lambda: look_at_forecast(app, actor=actor),
        "look_at_schedules": lambda: look_at_schedules(app, ScheduleFilter(), actor=actor),
        "foresee_times": lambda: foresee_times(app, "x", actor=actor),
        "rewind_schedules": lambda: rewind_schedules(app, ["x"], actor=actor),
        "next_fires": lambda: next_fires(app, "x", actor=actor),
        "backfill_window": lambda: backfill_window(app, "x", NOW, NOW, actor=actor),
        "read_hold": lambda: read_hold(app, actor=actor),
        "show_trouble": lambda: show_trouble(app, "run", "x", actor=actor),
        "what_needs_somebody": lambda: what_needs_somebody(app, app.clock.now(), actor=actor),
        "acknowledge": lambda: acknowledge(app, "run", "x", actor=actor),
        "preview_rewind": lambda: preview_rewind(app, "x", actor=actor),
        "show_schedule": lambda: show_schedule(app, "x", actor=actor),
        "what_is_asked": lambda: what_is_asked(app, "x", actor=actor),
        "list_usage_inputs": lambda: list_usage_inputs(app, actor=actor),
        "usage_inputs_page": lambda: usage_inputs_page(app, actor=actor),
        "show_usage_input": lambda: show_usage_input(app, "x", actor=actor),
        "list_usage_schedules": lambda: list_usage_schedules(app, actor=actor),
        "show_usage_schedule": lambda: show_usage_schedule(app, "x", actor=actor),
        "workers_page": lambda: workers_page(app, actor=actor),
        "show_me": lambda: show_me(app, actor=actor),
        "usage_schedules_page": lambda: usage_schedules_page(app, actor=actor),
        "own_sign_in_link": lambda: own_sign_in_link(app, actor=actor),
        "service_troubles": lambda: service_troubles(app, actor=actor),
        "list_workers": lambda: list_workers(app, actor=actor),
        "amend_asset_line_item": lambda: amend_asset_line_item(app, "x", actor=actor),
        "preview_amendment": lambda: preview_amendment(app, "x", actor=actor),
        "backfill_schedule": lambda: backfill_schedule(app, "x", NOW, NOW, actor=actor),
        "execute_batch": lambda: execute_batch(job, app=app),
        "retry_mail": lambda: retry_mail(app, "x", actor=actor),
        "retry_mails": lambda: retry_mails(app, ["x"], actor=actor),
        "drive_run": lambda: drive_run(app, "x", actor=actor),
        "resume_run": lambda: resume_run(app, "x", actor=actor),
        "retry_run": lambda: retry_run(app, "x", actor=actor),
        "foresee_run": lambda: foresee_run(app, job.name, {"usage_input_ids": ids}, actor=actor),
        "submit_run": lambda: submit_run(app, "x", {}, actor=actor),
        "apply_run": lambda: apply_run(app, "x", actor=actor),
        "apply_schedules": lambda: apply_schedules(app, "x", file="x", actor=actor),
        "add_schedule": lambda: add_schedule(app, request, actor=actor),
        "pause_schedule": lambda: pause_schedule(app, "x", actor=actor),
        "remove_schedule": lambda: remove_schedule(app, "x", actor=actor),
        "resume_schedule": lambda: resume_schedule(app, "x", actor=actor),
        "run_now": lambda: run_now(app, "x", actor=actor),
        "schedule": lambda: schedule("x", "x", job, app=app),
        "update_schedule": lambda: update_schedule(app, "x", {}, actor=actor),
        "abort_run": lambda: abort_run(app, "x", actor=actor),
        "move_run": lambda: move_run(app, "x", actor=actor),
        "pause_run": lambda: pause_run(app, "x", actor=actor),
        "release_run": lambda: release_run(app, "x", actor=actor),
        "submit_on_selection": lambda: submit_on_selection(app, "x", "x", actor=actor),
        "sum_usage_inputs": lambda: sum_usage_inputs(app, actor=actor),
        "show_selection": lambda: show_selection(app, "x", actor=actor),
        "select_usage_inputs": lambda: select_usage_inputs(app, [("x", "x")], actor=actor),
        "add_usage_input": lambda: add_usage_input(
            app, asset_line_item_id="x", usage_date="x", quantity="x", product_uom="x", actor=actor
        ),
        "delete_usage_inputs": lambda: delete_usage_inputs(app, ids, actor=actor),
        "edit_usage_input": lambda: edit_usage_input(app, "x", actor=actor),
        "reset_usage_inputs": lambda: reset_usage_inputs(app, actor=actor),
        "many_billing_schedules_move": lambda: many_billing_schedules_move(app, "x", "x", actor=actor),
        "sum_billing_schedules_that_move": lambda: sum_billing_schedules_that_move(
            app, "x", "x", actor=actor
        ),
        "preview_billing_schedule_status": lambda: preview_billing_schedule_status(
            app, ids, "x", actor=actor
        ),
        "set_billing_schedule_status": lambda: set_billing_schedule_status(app, ids, "x", actor=actor),
        "import_uploads": lambda: import_uploads(app, [("x", BytesIO())], actor=actor),
        "imports_page": lambda: imports_page(app, actor=actor),
        "import_paths": lambda: import_paths(app, [folder / "x"], actor=actor),
        "find_recalculation_customers": lambda: find_recalculation_customers(app, "x", actor=actor),
        "recalculation_offer": lambda: recalculation_offer(app, actor=actor),
        "audit_page": lambda: audit_page(app, actor=actor),
        "list_audit": lambda: list_audit(app, actor=actor),
        "verify_audit": lambda: verify_audit(app, actor=actor),
        "verify_audit_in_parts": lambda: verify_audit_in_parts(app, actor=actor),
        "backup_database": lambda: backup_database(app, folder / "x" / "y", actor=actor),
        "hold_run": lambda: hold_run(app, "x", actor=actor),
        "preview_prune": lambda: preview_prune(app, "x", actor=actor),
        "prune_runs": lambda: prune_runs(app, "x", actor=actor),
        "hold_all": lambda: hold_all(app, actor=actor),
        "release_all": lambda: release_all(app, actor=actor),
        "add_user": lambda: add_user(app, "x", "x", actor=actor),
        "disable_user": lambda: disable_user(app, "x", actor=actor),
        "enable_user": lambda: enable_user(app, "x", actor=actor),
        "users_page": lambda: users_page(app, actor=actor),
        "show_user": lambda: show_user(app, "x", actor=actor),
        "invite_user": lambda: invite_user(app, "x", "x", actor=actor),
        "make_password_link": lambda: make_password_link(app, "x", actor=actor),
        "list_users": lambda: list_users(app, actor=actor),
        "make_token": lambda: make_token(app, "x", actor=actor),
        "tokens_page": lambda: tokens_page(app, "x", actor=actor),
        "list_tokens": lambda: list_tokens(app, "x", actor=actor),
        "revoke_token": lambda: revoke_token(app, "x", "x", actor=actor),
        "list_sessions": lambda: list_sessions(app, "x", actor=actor),
        "sessions_page": lambda: sessions_page(app, "x", actor=actor),
        "end_session": lambda: end_session(app, "x", 1, actor=actor),
        "end_sessions": lambda: end_sessions(app, "x", actor=actor),
        "sign_out": lambda: sign_out(app, actor=actor),
        "change_password": lambda: change_password(app, "x", "x", actor=actor),
        "confirm_password": lambda: confirm_password(app, "x", actor=actor),
        "set_mail": lambda: set_mail(app, "x", "x", actor=actor),
        "set_password": lambda: set_password(app, "x", "x", actor=actor),
        "set_role": lambda: set_role(app, "x", "x", actor=actor),
    }


def is_forbidden(call: Callable[[], object]) -> bool:
    """Whether the role is what it is refused for. Anything raised that is no refusal fails the test."""
    try:
        call()
    except Forbidden:
        return True
    except Refused:
        pass
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


def through(app: Application, door: Door, people: dict[str, Actor]) -> dict[str, Actor]:
    """The same people at that door. Behind a web door nobody is who was a user when they were authenticated."""
    if not door.is_web:
        return {role: replace(actor, door=door) for role, actor in people.items()}
    ada = people[Right.ADMINISTER]
    add_user(app, "gone@example.com", Right.ADMINISTER, os_user="u-nobody", actor=ada)
    emails = {user["os_user"]: user["email"] for user in list_users(app, actor=ada)}
    callers = {
        role: web_actor(app, emails[actor.os_user], door=door, by=ada) for role, actor in people.items()
    }
    remove_user(app, "gone@example.com")
    return callers


def test_every_operation_is_in_the_table_of_roles_or_is_no_act() -> None:
    assert set(FOUND) == set(ACTS) | set(NO_ACT)


@pytest.mark.on_both
@pytest.mark.parametrize("door", depth([Door.PYTHON, Door.API], list(Door)))
def test_every_operation_is_forbidden_to_those_without_the_role_and_to_nobody_else(
    app: Application, people: dict[str, Actor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: Door
) -> None:
    roles = list(Right)
    callers = through(app, door, people)
    assert calls(app, people["nobody"], tmp_path).keys() == ACTS.keys()
    for name, needed in ACTS.items():
        for role, actor in callers.items():
            # Operations without an actor among their values act as the default.
            monkeypatch.setattr(Application, "default_actor", lambda _, actor=actor: actor)
            allowed = role != "nobody" and roles.index(Right(role)) >= roles.index(needed)
            assert is_forbidden(calls(app, actor, tmp_path)[name]) is not allowed, (name, role)


@pytest.mark.parametrize("door", Door)
def test_a_role_has_the_same_rights_at_every_door(
    app: Application, people: dict[str, Actor], door: Door
) -> None:
    roles = list(Right)
    for role, actor in through(app, door, people).items():
        for right in Right:
            allowed = role != "nobody" and roles.index(Right(role)) >= roles.index(right)
            forbidden = is_forbidden(lambda: permit(app, actor, right, "act"))  # noqa: B023
            assert forbidden is not allowed, (role, right)


@pytest.mark.on_both
def test_every_refusal_leaves_one_audit_entry_that_names_the_act_and_the_role(
    app: Application, people: dict[str, Actor], tmp_path: Path
) -> None:
    takes_actor = [name for name in ACTS if "actor" in inspect.signature(FOUND[name]).parameters]
    refused = calls(app, people["nobody"], tmp_path)
    for name in takes_actor:
        assert is_forbidden(refused[name])
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
    monkeypatch.setattr(Application, "default_actor", lambda _: people[Right.LOOK])
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


def test_running_a_recalculation_takes_a_billing_utilities_admin(app: Application) -> None:
    assert right_to_run(app, "data-recalculation") is Right.BILLING
    assert right_to_run(app, "draft-usage-rating") is Right.OPERATE


@pytest.mark.parametrize(
    ("role", "right"),
    [
        (None, Right.OPERATE),
        ("viewer", Right.OPERATE),
        ("Billing Utilities Admin", Right.BILLING),
        ("administrator", Right.ADMINISTER),
        ("nobody knows this one", Right.ADMINISTER),
    ],
)
def test_a_job_of_another_package_is_run_by_operators_or_by_the_higher_role_that_it_requires(
    app: Application, role: str | None, right: Right
) -> None:
    class Theirs(DraftUsageRatingJob):
        name = "theirs"
        required_role = role

    app.registry.add(Theirs)
    assert right_to_run(app, "theirs") is right


def test_an_operator_is_told_that_a_job_is_unknown(app: Application, people: dict[str, Actor]) -> None:
    with pytest.raises(Refused, match="there is no job named"):
        submit_run(app, "none-such", {}, actor=people[Right.OPERATE])
    with pytest.raises(Forbidden):
        submit_run(app, "none-such", {}, actor=people[Right.LOOK])


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
    with pytest.raises(Forbidden, match="u-nobody is not a user of this database") as refused:
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
    with pytest.raises(Forbidden, match="u-nobody is not a user"):
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
        with pytest.raises(Forbidden, match="u-stranger is not a user"):
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
        with pytest.raises(Forbidden, match="is not a user of this database"):
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
    # Of a file the driver itself is asked for the revision.
    assert [("app_user" in statement) for statement in statements] == [False, True][app.database.is_sqlite :]
