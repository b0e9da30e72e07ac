"""Every operation has a command, a door in the API and a page, or a reason why not."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from batchwright import cli, operations
from batchwright.console import pages
from batchwright.console.api.application import ROUTES

IN_PAGES = "the same list is there in pages"
WHOLE = "the same list is there whole"
ON_THE_MACHINE = "needs the machine that it is about"
TOLD = "for what stands on top of each page; programs read the figures of /metrics"
IN_PYTHON = "a call of Python programs; over HTTP it is POST /runs"
AT_WORK = "for the overview, a page; there are page_of_runs and list_runs, by status"
PRICES = "for a page; a price is shown by its book and product"
SUMMED = "for a question; mail_page and list_mail tell each"
MANY = "for a page, which is read at once; who waits for the sums of all gets them"

WITHOUT_API = {
    "own_sign_in_link": ON_THE_MACHINE,
    "list_account_charges": IN_PAGES,
    "list_asset_line_items": IN_PAGES,
    "list_billing_schedules": IN_PAGES,
    "list_runs": IN_PAGES,
    "list_waiting": "for the page of the queue; programs look at the run that they wait for",
    "list_usage_schedules": IN_PAGES,
    "run_preview": IN_PAGES,
    "delete_usage_inputs": "BillingService.delete_usage_input does it",
    "reset_usage_inputs": "BillingService.reset_usage_input does it",
    "submit_on_selection": "BillingService does it",
    "drive_run": "what is wanted at once is driven in the call that submits it",
    "driven_run": "what a call that is sent again is answered",
    "resume_run": "drives it here; release_run gives it to a worker",
    "find_recalculation_customers": "for a page, in which one types a part of a name",
    "customer_named": "for the filters of pages, into which one types a name; others take the id",
    "preview_parts": "for the tabs of a page; others are given all kinds of lines",
    "list_audit": IN_PAGES,
    "list_fires": IN_PAGES,
    "list_loaded": IN_PAGES,
    "list_mail": IN_PAGES,
    "list_schedules": IN_PAGES,
    "list_tokens": IN_PAGES,
    "list_users": IN_PAGES,
    "list_workers": IN_PAGES,
    "service_troubles": TOLD,
    "backfill_window": "a preview of the backfill shows its times",
    "backup_database": ON_THE_MACHINE,
    "execute_batch": IN_PYTHON,
    "import_paths": "its files are on the machine; those that are sent go to import_uploads",
    "look_at_schedules": "for a page that shows all of it at once; its parts are there",
    "look_at_forecast": "what the door of forecast answers with",
    "foresee_times": "for a form, which tells it while one types",
    "list_troubles": "a column of the command's table; programs look at the schedule and its fires",
    "preview_mail": "for who writes templates, on the machine where these are",
    "read_message": "for the page of a mail; programs read its facts",
    "invite_user": "its link is opened by a person; programs add users: add_user",
    "make_password_link": "is opened by a person, who types a password",
    "show_user": "is in the list: users_page",
    "show_usage_schedule": "is in the list of its asset: usage_schedules_page",
    "imports_page": "programs read the entries of the audit trail: audit_page",
    "list_sessions": IN_PAGES,
    "change_password": "is typed by who will know it, into a page",
    "sign_out": "ends the session of a browser",
    "confirm_password": "is typed by who will know it, into a page, for the session of a browser",
    "password_is_due": "a question of the pages of one session; a token's rights are its own",
    "check_has_password": "a question of the page that asks for a password",
    "read_hold": "each schedule says whether it is held, and when comes with the answer of hold",
    "retry_mails": "one by one over HTTP: retry_mail",
    "schedule": "a call of Python programs; over HTTP it is POST /schedules",
    "set_password": "is typed by who will know it, where nothing keeps what is typed",
    "what_is_asked": "a part of show_run",
    "preview_rewind": "for a page that asks before an act",
    "what_needs_somebody": "for the overview, a page; programs look at runs, schedules and mail",
    "show_trouble": "for a page that asks before an act; programs look at the run, the schedule or the mail",
    "show_selection": "for a page that asks before an act; POST /selections tells the same",
    "sum_usage_inputs": "for a page's list; POST /selections tells the same",
    "verify_audit_in_parts": "for a page; a program goes on with `next_after` of verify_audit",
    "foresee_run": "for a form, which tells it while one types; a dry run says more",
    "many_billing_schedules_move": MANY,
    "sum_billing_schedules_that_move": MANY,
    "failed_mail": SUMMED,
    "last_completed": AT_WORK,
    "prices_of_asset": PRICES,
    "list_at_work": AT_WORK,
}
WITHOUT_COMMAND = {
    "asset_line_items_page": WHOLE,
    "billing_schedules_page": WHOLE,
    "page_of_account_charges": WHOLE,
    "page_of_outcomes": WHOLE,
    "page_of_preview": WHOLE,
    "page_of_runs": WHOLE,
    "usage_inputs_page": WHOLE,
    "usage_schedules_page": WHOLE,
    "drive_run": "a command drives what it submits: drive_submitted",
    "foresee_run": "for a form, which tells it while one types; a dry run says more",
    "driven_run": "what a call over HTTP that is sent again is answered",
    "find_recalculation_customers": "for a page, in which one types a part of a name",
    "customer_named": "for the filters of pages, into which one types a name; others take the id",
    "preview_parts": "for the tabs of a page; others are given all kinds of lines",
    "outcome_summary": "the command lists outcomes, of one code by --code",
    "release_run": "the command drives it on: resume_run",
    "retry_mail": "of several at once: retry_mails",
    "invite_user": "the command sets the password itself: add_user, set_password",
    "make_password_link": "the command sets the password itself: set_password",
    "show_user": "is in the list: list_users",
    "imports_page": "the command lists the entries of the audit trail: list_audit",
    "read_message": "for the page of a mail; the command shows its facts, and files stand in the folder of mail",
    "run_progress": "for who looks on from elsewhere; the command has its own bar",
    "show_usage_input": "is shown with its explanation: explain_usage_input",
    "show_usage_schedule": "is in the list of its asset: list_usage_schedules",
    "audit_page": WHOLE,
    "look_at_schedules": "for a page that shows all of it at once; its parts are there",
    "look_at_forecast": "the command waits until all is added up: forecast",
    "foresee_times": "for a form, which tells it while one types; `cron next` says more",
    "fires_page": WHOLE,
    "loaded_page": WHOLE,
    "mail_page": WHOLE,
    "schedules_page": WHOLE,
    "tokens_page": WHOLE,
    "users_page": WHOLE,
    "workers_page": WHOLE,
    "execute_batch": "a call of Python programs; the command is `run`",
    "import_uploads": "the command names files: import_paths",
    "sessions_page": WHOLE,
    "change_password": "of who is signed in; the command is set_password",
    "sign_out": "ends the session of a browser",
    "confirm_password": "is typed by who will know it, into a page, for the session of a browser",
    "password_is_due": "a question of the pages of one session; a token's rights are its own",
    "check_has_password": "a question of the page that asks for a password",
    "show_me": "who one is there the system says: `whoami`",
    "acknowledge": "for who reads the overview, a page; over HTTP POST /acknowledgements",
    "what_needs_somebody": "for the overview, a page; programs look at runs, schedules and mail",
    "show_trouble": "for a page that asks before an act; commands show the run, the schedule or the mail",
    "preview_rewind": "for a page that asks before an act; the command lists times: list_fires",
    "show_selection": "a command selects and acts at once",
    "sum_usage_inputs": "for a page's list; a command with --where says how many before it acts",
    "verify_audit_in_parts": "for a page; the command checks all: verify_audit",
    "many_billing_schedules_move": MANY,
    "sum_billing_schedules_that_move": MANY,
    "failed_mail": SUMMED,
    "last_completed": AT_WORK,
    "prices_of_asset": PRICES,
    "list_at_work": AT_WORK,
}
WITHOUT_PAGE = {
    "own_sign_in_link": ON_THE_MACHINE,
    "forecast": "a page cannot wait until all is added up: look_at_forecast",
    "list_account_charges": IN_PAGES,
    "list_asset_line_items": IN_PAGES,
    "list_billing_schedules": IN_PAGES,
    "list_fires": IN_PAGES,
    "list_loaded": IN_PAGES,
    "list_mail": IN_PAGES,
    "list_runs": IN_PAGES,
    "list_schedules": IN_PAGES,
    "list_usage_schedules": IN_PAGES,
    "list_troubles": "is on the overview with all else that needs somebody: what_needs_somebody",
    "list_users": IN_PAGES,
    "list_workers": IN_PAGES,
    "verify_audit": "the page checks part by part: verify_audit_in_parts",
    "schedules_page": "is in the list with what became of each: look_at_schedules",
    "add_user": "nobody types a password for somebody else: invite_user",
    "set_password": "nobody types a password for somebody else: make_password_link",
    "delete_usage_inputs": "BillingService.delete_usage_input does it",
    "reset_usage_inputs": "BillingService.reset_usage_input does it",
    "submit_on_selection": "BillingService does it",
    "import_paths": "its files are on the machine; those that are uploaded go to import_uploads",
    "preview_mail": "for who writes templates, on the machine where these are",
    "backup_database": ON_THE_MACHINE,
    "drive_run": "what is wanted at once is driven in the call that submits it",
    "driven_run": "what a call over the API that is sent again is answered",
    "resume_run": "drives it here; release_run gives it to a worker",
    "execute_batch": "a call of Python programs; on a page it is the form of a job",
}


PARTS = {
    "check_request",
    "right_over",
    "permit",
    "permit_change",
    "permit_for_run",
    "permit_schedule",
    "upgrade_database",
}
"""What takes an actor and is a part of operations, or comes before there are any."""


def operations_there_are() -> Iterator[Callable[..., Any]]:
    """Every function of the package that somebody does something by, and the calls of Python programs."""
    for module_info in pkgutil.walk_packages(operations.__path__, "batchwright.operations."):
        module = importlib.import_module(module_info.name)
        for name, function in vars(module).items():
            if not inspect.isfunction(function) or function.__module__ != module.__name__:
                continue
            is_act = {"app", "actor"} <= inspect.signature(function).parameters.keys()
            if is_act and not name.startswith("_") and name not in PARTS:
                yield function
    yield from (operations.execute_batch, operations.schedule)


def names_in(package: ModuleType) -> set[str]:
    """Every name that the code of a package uses."""
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for path in Path(package.__path__[0]).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Name | ast.Attribute)
    }


def test_every_operation_has_a_door_in_the_api_or_a_reason() -> None:
    behind_doors = {operation for module in ROUTES for operation in module.doors.operations}
    lacking = {operation.__name__ for operation in operations_there_are() if operation not in behind_doors}
    assert lacking == set(WITHOUT_API)


def test_every_operation_has_a_command_or_a_reason() -> None:
    names = {operation.__name__ for operation in operations_there_are()}
    assert names - names_in(cli) == set(WITHOUT_COMMAND)


def test_every_operation_has_a_page_or_a_reason() -> None:
    names = {operation.__name__ for operation in operations_there_are()}
    assert names - names_in(pages) == set(WITHOUT_PAGE)
