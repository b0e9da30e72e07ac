"""`runs abort`, `pause`, `resume` and `move`, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import update

from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import run as run_table
from tests.cli.conftest import Batchwright, error_of

pytestmark = pytest.mark.usefixtures("company")


@pytest.fixture
def waiting(batchwright: Batchwright) -> str:
    """A run that nobody drives. Its id."""
    return enqueued(batchwright)


def enqueued(batchwright: Batchwright) -> str:
    answer = batchwright("run", "draft-usage-rating", "--enqueue")
    assert answer.exit_code == 0, answer.stderr
    return answer.stdout.strip()


def put(url: str, run_id: str, state: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.execute(update(run_table).where(run_table.c.run_id == run_id).values(state=state))
    database.close()


def shown(batchwright: Batchwright, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = json.loads(batchwright("runs", "show", run_id, "--json").stdout)
    return run


def test_a_waiting_run_is_aborted_at_once_and_its_mail_sent(batchwright: Batchwright, waiting: str) -> None:
    answer = batchwright("runs", "abort", waiting)
    assert (answer.exit_code, answer.stdout.startswith(f"{waiting} is Aborted: ")) == (0, True)
    run = shown(batchwright, waiting)
    assert (run["status"], run["error"]) == ("Aborted", "aborted by erika")
    assert [mail["status"] for mail in run["mails"]] == ["sent"]
    text = batchwright("runs", "show", waiting).stdout
    assert "Failed (aborted by erika)" in text
    assert "runs retry" not in text, "there is nothing to retry"


def test_a_paused_run_says_how_to_go_on_and_goes_on_so(batchwright: Batchwright, waiting: str) -> None:
    answer = batchwright("runs", "pause", waiting)
    assert answer.exit_code == 0
    remedy = f"batchwright runs resume {waiting}"
    assert answer.stdout == f"{waiting} is Paused. Go on with `{remedy}`.\n"
    assert remedy in batchwright("runs", "show", waiting).stdout
    resumed = batchwright("runs", "resume", waiting, "--reason", "corrected", "--json")
    assert (resumed.exit_code, json.loads(resumed.stdout)["status"]) == (3, "Completed")


def test_a_run_at_work_is_asked_and_shows_it(batchwright: Batchwright, waiting: str, company: str) -> None:
    put(company, waiting, "Processing")
    answer = batchwright("runs", "pause", waiting, "--actor", "dana")
    assert answer.exit_code == 0
    assert answer.stdout.startswith(f"{waiting} is asked to pause and does so after the scope at hand.")
    (line,) = [
        line for line in batchwright("runs", "show", waiting).stdout.splitlines() if line.startswith("Asked")
    ]
    assert line.split(maxsplit=1)[1].startswith("to pause, by dana at ")


def test_a_moved_run_stands_elsewhere_in_its_line(batchwright: Batchwright, waiting: str) -> None:
    later = enqueued(batchwright)
    answer = batchwright("runs", "move", later, "--before", waiting)
    assert (answer.exit_code, answer.stdout) == (0, f"{later} has moved in its line.\n")
    moved = batchwright("runs", "move", later, "--end", "--json")
    assert (moved.exit_code, json.loads(moved.stdout)["run_id"]) == (0, later)


@pytest.mark.parametrize("act", ["abort", "pause"])
def test_an_act_answers_with_the_run_in_json_and_leaves_an_entry_with_actor_and_reason(
    batchwright: Batchwright, waiting: str, act: str
) -> None:
    answer = batchwright("runs", act, waiting, "--actor", "dana", "--reason", "wrong month", "--json")
    after = {"abort": "Aborted", "pause": "Paused"}[act]
    assert (answer.exit_code, json.loads(answer.stdout)["status"]) == (0, after)
    entry = json.loads(batchwright("audit", "list", "--limit", "1", "--json").stdout)[0]
    assert (entry["act"], entry["subject"], entry["actor"]) == (f"run.{act}", waiting, "dana")
    assert (entry["reason"], entry["before"], entry["after"]) == (
        "wrong month",
        {"status": "Holding"},
        {"status": after},
    )


@pytest.mark.parametrize("words", [("abort",), ("pause",), ("move", "--front"), ("resume",)])
def test_what_the_state_forbids_is_refused_with_the_run_and_a_remedy(
    batchwright: Batchwright, waiting: str, words: tuple[str, ...]
) -> None:
    batchwright("runs", "abort", waiting)
    act, *options = words
    answer = batchwright("runs", act, waiting, *options, "--json")
    error = error_of(answer)
    assert (answer.exit_code, error["field"], bool(error["remedy"])) == (2, "run_id", True)
    assert waiting in error["message"]


@pytest.mark.parametrize("places", [(), ("--front", "--end"), ("--before", "JR-1", "--after", "JR-2")])
def test_a_move_needs_exactly_one_place(
    batchwright: Batchwright, waiting: str, places: tuple[str, ...]
) -> None:
    answer = batchwright("runs", "move", waiting, *places)
    assert answer.exit_code == 2
    assert "Give one of front, end, before RUN, after RUN" in answer.stderr
