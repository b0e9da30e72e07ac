"""Draft runs over a generated company, what they come to when nobody disturbs them, and whether they still did."""

from __future__ import annotations

import email
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from sqlalchemy import text

from batchwright.config.settings import MailSettings, Settings, operating_system_user
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
from batchwright.operations.actor import Actor
from batchwright.operations.app import make_application
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.submitting import RunRequest, enqueue
from bench.company import Company, fill
from tests.soak.fleet import Entry
from tests.soak.state import Rows, differences, records_of, run_of
from tests.support.smtp import SmtpServer

SCOPE_SIZE: Final = 5
BAD_EVERY: Final = 17
POISONED_IN_EACH_RUN: Final = 2
RECIPIENT: Final = "ops@soak.example"
_ACTOR: Final = Actor(name="soak", os_user=operating_system_user())
# Neither is a number to the arithmetic of rating, which raises: nobody has foreseen that.
_POISON: Final = "UPDATE usage_input SET quantity = 'NaN' WHERE id = :key"
_AS_BEFORE: Final = (
    """UPDATE usage_input SET status = 'Loaded', error_by = NULL, code = NULL, message = NULL,
    draft_rated_amount = NULL, draft_run_key = NULL, draft_price_key = NULL, draft_contract_key = NULL,
    draft_discount_percent = NULL, draft_prior_quantity = NULL""",
    "UPDATE usage_schedule SET draft_rated_quantity = NULL, draft_fee_amount = NULL",
)
_MAILS: Final = """
    SELECT r.run_id, m.status, m.message_id FROM mail m JOIN run r ON r.id = m.run_id ORDER BY m.id"""
_SCOPES: Final = """
    SELECT count(*), coalesce(sum(CASE WHEN s.state = 'done' THEN 1 ELSE 0 END), 0), coalesce(sum(s.records), 0)
    FROM scope s JOIN run r ON r.id = s.run_id WHERE r.run_id = :run_id"""


@dataclass(frozen=True, slots=True)
class Death:
    """A process that was killed, and when."""

    pid: int
    time: float


class Proof:
    """A database with a company whose assets are shared out among `runs` runs.

    `smtp` gets the mail, or `mail_folder` where one is named; the records are drawn by `chance`.
    The runs are driven once, undisturbed, by this process.
    """

    def __init__(
        self,
        url: str,
        smtp: SmtpServer,
        chance: Random,
        *,
        runs: int,
        inputs: int,
        mail_folder: Path | None = None,
    ) -> None:
        settings = Settings(
            database_url=url,
            executor="inline",
            mail=MailSettings(
                transport="smtp", smtp_host=smtp.host, smtp_port=smtp.port, smtp_security="none"
            ),
        )
        self.runs = runs
        self.app = make_application(settings)
        self.database = self.app.database
        self._smtp = smtp
        self._mail_folder = mail_folder
        company = Company(inputs, inputs_per_asset=chance.choice((4, 5, 10)), bad_every=BAD_EVERY)
        fill(self.database, company)
        assets = [f"ALI-{key:08d}" for key in range(1, company.assets + 1)]
        self._shares = [assets[number::runs] for number in range(runs)]
        self._poison(company, chance)
        self._before = records_of(self.database)
        run_ids = self.submit(lambda run_id: None)
        for run_id in run_ids:
            drive_run(self.app, run_id)
        self._expected_records = records_of(self.database)
        self._expected_runs = [run_of(self.database, run_id) for run_id in run_ids]
        for run in self._expected_runs:
            ((state, total, ok, errored, *_),) = run["figures"]
            if state != "Completed" or not errored or ok + errored != total:
                raise AssertionError(f"the run left alone is not as it should be: {run['figures']}")
        self.begin_again()

    def begin_again(self) -> None:
        """Bring the records to where they were before any run."""
        with self.database.write() as connection:
            for statement in _AS_BEFORE:
                connection.execute(text(statement))
        if lines := differences(self._before, records_of(self.database)):
            raise AssertionError(f"the records are not as they were: {lines}")

    def submit(self, submitted: Callable[[str], None]) -> list[str]:
        """Enqueue a run for each share, all at once; `submitted` is called with each before it can be seen."""
        run_ids = []
        with self.database.write() as connection:
            for share in self._shares:
                request = RunRequest(
                    actor=_ACTOR, scope_size=SCOPE_SIZE, mail_actor=False, notify=(RECIPIENT,)
                )
                run = enqueue(self.app, connection, DraftUsageRatingJob(asset_line_item_ids=share), request)
                submitted(run.run_id)
                run_ids.append(run.run_id)
        return run_ids

    def at_work_by(self, pid: int) -> list[str]:
        """The runs whose owner is that process."""
        with self.database.read() as connection:
            rows = connection.execute(
                text("SELECT run_id, owner FROM run WHERE state IN ('Preparing', 'Processing')")
            )
            return [row.run_id for row in rows if (row.owner or "").endswith(f"/{pid}")]

    def is_over(self, run_ids: Sequence[str]) -> bool:
        """Whether each of these runs has ended and its mail is marked as sent."""
        with self.database.read() as connection:
            sent = {row.run_id for row in connection.execute(text(_MAILS)) if row.status == "sent"}
        return sent.issuperset(run_ids)

    def faults(self, run_ids: Sequence[str], heard: Sequence[Entry], deaths: Sequence[Death]) -> list[str]:
        """What is wrong with runs that are over, a line each."""
        lines = differences(self._expected_records, records_of(self.database))
        for run_id, expected in zip(run_ids, self._expected_runs, strict=True):
            found = run_of(self.database, run_id)
            lines += [f"{run_id}: {line}" for line in differences(expected, found)]
            lines += [f"{run_id}: {line}" for line in self._ledger_faults(run_id, found)]
        return lines + self._mail_faults(run_ids, heard, deaths)

    def close(self) -> None:
        """Close the connections."""
        self.app.close()

    def _poison(self, company: Company, chance: Random) -> None:
        runs = self.runs
        with self.database.write() as connection:
            for run in range(runs):
                for _ in range(POISONED_IN_EACH_RUN):
                    asset = chance.randrange(company.assets // runs) * runs + run + 1
                    key = asset + company.assets * chance.randrange(company.inputs_per_asset)
                    connection.execute(text(_POISON), {"key": key})

    def _ledger_faults(self, run_id: str, found: Rows) -> list[str]:
        """Every record has one outcome, and every scope is done."""
        ((_, total, *_),) = found["figures"]
        lines = []
        outcomes = Counter(row[0] for row in found["outcomes"])
        twice = [record for record, number in outcomes.items() if number != 1]
        if twice or len(outcomes) != total:
            lines.append(f"{len(outcomes)} of {total} records have an outcome; more than one: {twice[:5]}")
        with self.database.read() as connection:
            scopes, done, records = connection.execute(text(_SCOPES), {"run_id": run_id}).one()
        if scopes != done or records != total:
            lines.append(f"{done} of {scopes} scopes done, {records} of {total} records in them")
        return lines

    def _arrived(self) -> list[str]:
        """The Message-ID of every mail that arrived."""
        if self._mail_folder is None:
            return [str(mail.message["Message-ID"]) for mail in list(self._smtp.messages)]
        files = self._mail_folder.glob("*.eml")
        return [str(email.message_from_bytes(file.read_bytes())["Message-ID"]) for file in files]

    def _mail_faults(
        self, run_ids: Sequence[str], heard: Sequence[Entry], deaths: Sequence[Death]
    ) -> list[str]:
        """One mail for each run; a copy more only for each time that it may have been accepted without its mark."""
        with self.database.read() as connection:
            rows = [tuple(row) for row in connection.execute(text(_MAILS))]
        # A mail may reach the server a moment before it is marked, and the list of the server a moment after.
        arrived = Counter(self._arrived())
        lines = []
        for run_id in run_ids:
            own = [row for row in rows if row[0] == run_id]
            if [row[1] for row in own] != ["sent"]:
                lines.append(f"{run_id}: its mails are {own}")
                continue
            copies, allowed = arrived[own[0][2]], 1 + _unmarked(run_id, heard, deaths)
            if not 1 <= copies <= allowed:
                lines.append(f"{run_id}: its mail arrived {copies} times, {allowed} at most are explained")
        return lines


def _unmarked(run_id: str, heard: Sequence[Entry], deaths: Sequence[Death]) -> int:
    """How often the mail of this run may have been accepted without being marked as sent: its sender died between
    claim and mark, or the mark did not reach the database.
    """
    own = [one for one in heard if one.run_id == run_id and one.point is not None]
    by_point = Counter((one.pid, one.point) for one in own)
    dead = {death.pid for death in deaths}
    return sum(
        max(
            0,
            by_point[pid, "mail claimed" if pid in dead else "mail accepted"] - by_point[pid, "mail marked"],
        )
        for pid in {one.pid for one in own}
    )
