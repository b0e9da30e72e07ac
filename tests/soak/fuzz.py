"""The importer takes any bytes: it loads them or refuses them with a reason, and a refusal changes nothing."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import func, select

from batchwright.billing import sample
from batchwright.billing.importing import import_files
from batchwright.engine.errors import Refused
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import metadata

Say = Callable[[str], None]
Change = Callable[[bytes, Random], bytes]

NOW: Final = datetime(2024, 1, 1, tzinfo=UTC)
LOADED: Final = "loaded"
REFUSED: Final = "refused"
_LINES_KEPT: Final = 20
_SAY_EVERY: Final = 1_000
_NASTY: Final = (
    "", " ", "0", "-1", "-0", "NaN", "Infinity", "1e400", "1" * 30, "0." + "1" * 30, "1,000.00", "1 000", "٣", "½",
    "2023-06-31", "31.12.2023", "0000-00-00", "9999-12-31", "10000-01-01", "x" * 200, "=cmd()", "'; DROP TABLE price;",
    "“20”", "\u202e", "\x00", "\x07", "a\tb", "a\nb", '"', '""', ";", "true", "TRUE", "ALI-0001", "IN-00007052",
    "Monthly", "Active", "tiered", "discrete", "USD", "XXX", "18446744073709551616", "\ud7ff", "🚚", "\u0301",
)  # fmt: skip


def compare(url: str, *, cases: int, seed: int, say: Say) -> list[str]:
    """Import `cases` damaged copies of the sample company; what went wrong, a line each with the case's number."""
    database = Database(url)
    database.upgrade()
    originals = _shortened(sample.folder())
    empty = _rows(database)
    lines: list[str] = []
    loaded = 0
    with TemporaryDirectory(prefix="batchwright-fuzz-") as folder:
        for number in range(cases):
            ended = _try_one(database, originals, Path(folder), Random(seed * 1_000_003 + number))
            if ended == REFUSED and (left := _rows(database) - empty):
                ended = f"refused, and left rows: {dict(left)}"
            loaded += ended == LOADED
            if ended not in (LOADED, REFUSED):
                lines.append(f"seed {seed}, case {number}: {ended}")
            if (number + 1) % _SAY_EVERY == 0:
                say(f"{number + 1:,} files, {loaded:,} of them loaded, {len(lines)} faults")
    database.close()
    # All refused, or none: then it is the test that is damaged.
    if not 0 < loaded < cases:
        lines.append(f"{loaded:,} of {cases:,} damaged files were loaded")
    return lines


def _try_one(database: Database, originals: dict[str, bytes], folder: Path, chance: Random) -> str:
    """`LOADED`, `REFUSED`, or what is wrong with the import of one damaged copy."""
    name = chance.choice(sorted(originals))
    data = originals[name]
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(_CHANGES)(data, chance)
    for other, whole in originals.items():
        (folder / other).write_bytes(data if other == name else whole)
    paths = [folder / other for other in originals]
    skip_bad = io.StringIO() if chance.random() < 0.3 else None
    try:
        with database.write() as connection:
            import_files(connection, paths, update=False, skip_bad=skip_bad, now=NOW)
            raise _Undo
    except _Undo:
        return LOADED
    except Refused as refusal:
        if not str(refusal).strip():
            return f"{name}: refused without a reason"
        return REFUSED
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}"[:500]


class _Undo(Exception):
    """Takes back an import that went well: the next case starts from an empty database again."""


def _rows(database: Database) -> Counter[str]:
    """How many rows each table has."""
    with database.read() as connection:
        count = select(func.count())
        return Counter(
            {
                one.name: connection.execute(count.select_from(one)).scalar_one()
                for one in metadata.sorted_tables
            }
        )


def _shortened(folder: Path) -> dict[str, bytes]:
    return {
        path.name: b"".join(path.read_bytes().splitlines(keepends=True)[: _LINES_KEPT + 1])
        for path in sorted(folder.glob("*.csv"))
    }


def _flip(data: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.randbytes(chance.randint(1, 4)) + data[place + chance.randint(0, 4) :]


def _cut(data: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _noise(_data: bytes, chance: Random) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 3, 50, 5_000)))


def _encoding(data: bytes, chance: Random) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(chance.choice(("utf-16", "utf-8-sig", "latin-1", "utf-32-le", "cp037")), "replace")


def _line_ends(data: bytes, chance: Random) -> bytes:
    return data.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n", b"\x0b", b"", b"\x00\n")))


def _delimiter(data: bytes, chance: Random) -> bytes:
    return data.replace(b",", chance.choice((b";", b"\t", b"|", b",,", b", ", b"")))


def _line_twice(data: bytes, chance: Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return b"".join(lines)


def _line_gone(data: bytes, chance: Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def _cell(data: bytes, chance: Random) -> bytes:
    lines = data.split(b"\n")
    place = chance.randrange(len(lines))
    cells = lines[place].split(b",")
    cells[chance.randrange(len(cells))] = chance.choice(_NASTY).encode()
    lines[place] = b",".join(cells)
    return b"\n".join(lines)


# A changed cell is the likeliest to get past the first checks.
_CHANGES: Final[tuple[Change, ...]] = (
    _cell, _cell, _cell, _cell, _cell, _cell, _flip, _flip, _cut, _noise, _encoding, _line_ends, _delimiter,
    _line_twice, _line_gone,
)  # fmt: skip
