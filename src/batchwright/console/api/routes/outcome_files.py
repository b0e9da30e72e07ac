"""What became of the records of a run, all of them in one file."""

from __future__ import annotations

from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors
from batchwright.console.api.run_answers import PRUNED
from batchwright.console.api.streams import CSV, NDJSON, file_answer
from batchwright.operations.access.permissions import Right
from batchwright.operations.runs.looking import run_outcomes

doors = Doors("runs")

COLUMNS = ("record_id", "outcome", "code", "message", "amount", "currency")


@doors.door(
    "GET",
    "/runs/{run_id}/outcomes.csv",
    run_outcomes,
    Right.LOOK,
    answers={200: CSV},
    form="csv",
    others=PRUNED,
)
def outcomes_csv(
    run_id: str, outcome: str | None = None, code: str | None = None, call: Call = CALL
) -> Response:
    """The outcomes as CSV in the order of the run; the last line is `# 3 rows`, with their number."""
    rows = run_outcomes(call.app, run_id, outcome, code, actor=call.actor)
    return file_answer(call, rows, f"{run_id}-outcomes.csv", CSV, COLUMNS)


@doors.door(
    "GET",
    "/runs/{run_id}/outcomes.ndjson",
    run_outcomes,
    Right.LOOK,
    answers={200: NDJSON},
    form="ndjson",
    others=PRUNED,
)
def outcomes_ndjson(
    run_id: str, outcome: str | None = None, code: str | None = None, call: Call = CALL
) -> Response:
    """The outcomes as a JSON object a line; the last line is `{"rows": 3}`, with their number."""
    rows = run_outcomes(call.app, run_id, outcome, code, actor=call.actor)
    return file_answer(call, rows, f"{run_id}-outcomes.ndjson", NDJSON, COLUMNS)
