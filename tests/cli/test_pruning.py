"""`runs prune`: numbers first, then the act; and what other commands say of a pruned run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import Application
from batchwright.operations.runs import pruning
from batchwright.operations.runs.pruning import delete_pruned, prune_runs
from batchwright.operations.views import View
from tests.cli.conftest import Batchwright, error_of

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
]


@pytest.fixture
def old(company: str, batchwright: Batchwright) -> str:
    """A forecast of last year; its id."""
    done = json.loads(batchwright("run", "draft-usage-rating", "--json").stdout)
    database = Database(company)
    with database.write() as connection:
        ended = datetime.now(UTC) - timedelta(days=400)
        connection.execute(update(run_table).values(ended_at=ended))
    database.close()
    return str(done["run_id"])


def test_it_shows_in_numbers_what_it_will_do_and_then_does_it(batchwright: Batchwright, old: str) -> None:
    dry = batchwright("runs", "prune", "--older-than", "52w", "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines()[-1]) == (0, "Nothing was deleted: a dry run.")
    assert "1 draft-usage-rating" in dry.stdout
    plan = json.loads(batchwright("runs", "prune", "--older-than", "52w", "--dry-run", "--json").stdout)
    assert (plan["dry_run"], plan["runs"], plan["unfinished"]) == (True, 1, 0)
    assert plan["records"] > 0
    assert batchwright("runs", "outcomes", old).exit_code == 0, "nothing was deleted"
    done = batchwright("runs", "prune", "--older-than", "52w", "--reason", "room")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "Pruned 1 run.")
    again = json.loads(batchwright("runs", "prune", "--older-than", "52w", "--json").stdout)
    assert (again["dry_run"], again["runs"], again["unfinished"]) == (False, 0, 0)


def test_it_says_what_is_left_also_where_a_worker_deletes_at_the_same_time(
    batchwright: Batchwright, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prune_beside_a_worker(app: Application, *given: Any, **values: Any) -> View:
        done = prune_runs(app, *given, **values)
        delete_pruned(app)
        return done

    monkeypatch.setattr(pruning, "prune_runs", prune_beside_a_worker)
    done = json.loads(batchwright("runs", "prune", "--older-than", "52w", "--json").stdout)
    assert (done["runs"], done["unfinished"]) == (1, 0)


def test_who_says_no_on_a_terminal_keeps_all(
    batchwright: Batchwright, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stdin>")
    kept = batchwright("runs", "prune", "--older-than", "52w", stdin="n\n")
    assert (kept.exit_code, "Nothing was deleted." in kept.stderr) == (1, True)
    assert batchwright("runs", "outcomes", old).exit_code == 0


def test_commands_say_of_a_pruned_run_that_it_is_gone_and_what_to_do(
    batchwright: Batchwright, old: str
) -> None:
    batchwright("runs", "prune", "--older-than", "52w", "--yes")
    for command in ("outcomes", "retry"):
        refused = batchwright("runs", command, old)
        assert refused.exit_code == 2, command
        assert f"{old} was pruned on " in refused.stderr, command
        assert "Remedy" in refused.stderr, command
    shown = batchwright("runs", "show", old).stdout
    assert "Pruned" in shown
    assert "runs retry" not in shown
    assert json.loads(batchwright("runs", "show", old, "--json").stdout)["pruned_at"]


@pytest.mark.usefixtures("company")
def test_an_age_that_cannot_be_is_refused_with_field_and_remedy(batchwright: Batchwright) -> None:
    for age in ("soon", "0d", "2099-01-01"):
        refused = batchwright("runs", "prune", "--older-than", age, "--json")
        assert refused.exit_code == 2
        assert error_of(refused)["field"] == "older_than"
        assert error_of(refused)["remedy"]
    refused = batchwright("runs", "prune", "--older-than", "90d", "--job", "draft-rating", "--json")
    assert (refused.exit_code, error_of(refused)["field"]) == (2, "job")
    assert batchwright("runs", "prune").exit_code == 2
