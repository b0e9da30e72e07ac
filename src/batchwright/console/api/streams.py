"""Answers of any length: files that are read and sent page by page, and end with how many rows they have."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import chain, islice

import structlog
from anyio import to_thread
from starlette.responses import Response, StreamingResponse

from batchwright.console.api.door import Call
from batchwright.engine.store.read_limit import READ_SECONDS
from batchwright.formulas import escape_formula

Row = Mapping[str, str | None]

CSV = "text/csv"
NDJSON = "application/x-ndjson"
ROWS_AT_A_TIME = 500
MANY_ROWS = 10_000
"""Whoever takes more away stands in the log."""

log = structlog.get_logger()


def file_answer(
    call: Call, rows: Iterable[Row], name: str, media_type: str, columns: Sequence[str], left_out: str = ""
) -> Response:
    """The rows as a file to save, CSV or NDJSON. A refusal of the first row is answered before anything is sent.

    The last line says how many rows came before it: ``# 3 rows`` in CSV, ``{"rows": 3}`` in NDJSON; and then what is
    ``left_out`` of them, where that is told: ``# 3 rows; …``, ``{"rows": 3, "left_out": "…"}``. Where reading
    fails on the way the answer breaks off before that line, without the end that HTTP marks.
    """
    rows = iter(rows)
    first = list(islice(rows, 1))
    whole = chain(first, rows)
    lines = (_csv_lines if media_type == CSV else _json_lines)(whole, columns, left_out)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_parts(call, lines), headers=headers, media_type=media_type)


async def _parts(call: Call, lines: Iterator[str]) -> AsyncIterator[bytes]:
    READ_SECONDS.set(None)  # it is read in short pages, and takes as long as its reader
    count = -1  # of the last line
    while some := await to_thread.run_sync(_some, lines, limiter=call.traffic.heavy_lane):
        count += len(some)
        yield "".join(some).encode("utf-8", "replace")
    if count > MANY_ROWS:
        log.info("many rows were read", rows=count, path=call.request.url.path, user=call.actor.name)


def _some(lines: Iterator[str]) -> list[str]:
    return list(islice(lines, ROWS_AT_A_TIME))


def _csv_lines(rows: Iterator[Row], columns: Sequence[str], left_out: str) -> Iterator[str]:
    line = StringIO()
    writer = csv.writer(line)
    count = 0
    writer.writerow(columns)
    for row in rows:
        count += 1
        writer.writerow([escape_formula(row[column] or "") for column in columns])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    writer.writerow(["; ".join(filter(None, (f"# {count} rows", left_out)))])
    yield line.getvalue()


def _json_lines(rows: Iterator[Row], columns: Sequence[str], left_out: str) -> Iterator[str]:
    count = 0
    for row in rows:
        count += 1
        yield json.dumps({column: row[column] for column in columns}) + "\n"
    yield json.dumps({"rows": count} | ({"left_out": left_out} if left_out else {})) + "\n"
