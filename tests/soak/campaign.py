"""The soak of kills as a whole: so many in each cell, in as many sittings as you like, and a table at the end."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from tests.soak import kills
from tests.soak.kills import CELLS, PLACES, Found, Kill, Say
from tests.support.postgres import postgres_server

_FILE: Final = "kills.json"

NewUrl = Callable[[str, Path], str]


@dataclass(slots=True)
class Progress:
    """What was done so far, kept in a file of the folder."""

    folder: Path
    seed: int
    parts: dict[str, int] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, seed: int) -> Progress:
        """What the folder knows; its own seed counts where there is one."""
        file = folder / _FILE
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            return cls(folder, seed)
        known = json.loads(file.read_text())
        done = [Kill(**{**one, "takeovers": tuple(one["takeovers"])}) for one in known["kills"]]
        return cls(folder, known["seed"], known["parts"], done, known["faults"])

    def add(self, found: Found) -> None:
        """Keep what a round came to."""
        self.kills += found.kills
        self.faults += found.faults
        self._save()

    def next_part(self, cell: str) -> int:
        """The number of the part of this cell that begins now."""
        self.parts[cell] = self.parts.get(cell, 0) + 1
        self._save()
        return self.parts[cell]

    def left(self, cell: str, wanted: int) -> dict[str, int]:
        """How many kills each place of a cell still needs."""
        done = Counter(kill.place for kill in self.kills if kill.cell == cell)
        share, rest = divmod(wanted, len(PLACES))
        return {place: max(0, share + (number < rest) - done[place]) for number, place in enumerate(PLACES)}

    def _save(self) -> None:
        known = {
            "seed": self.seed,
            "parts": self.parts,
            "faults": self.faults,
            "kills": [asdict(kill) for kill in self.kills],
        }
        draft = self.folder / f".{_FILE}"
        draft.write_text(json.dumps(known, indent=1))
        draft.rename(self.folder / _FILE)


def run(progress: Progress, *, cells: Sequence[str], kills_in_each: int, say: Say) -> list[str]:
    """Go on until each of these cells has had its kills; what was wrong, also in former sittings."""
    for kind in dict.fromkeys(cell.partition("/")[0] for cell in cells):
        of_kind = [cell for cell in cells if cell.startswith(kind)]
        if any(any(progress.left(cell, kills_in_each).values()) for cell in of_kind):
            with _databases(kind) as new_url:
                for cell in of_kind:
                    _run_cell(progress, cell, kills_in_each, new_url, say)
    return progress.faults


def _run_cell(progress: Progress, cell: str, wanted: int, new_url: NewUrl, say: Say) -> None:
    while any((left := progress.left(cell, wanted)).values()):
        part = progress.next_part(cell)
        chance = Random(f"{progress.seed}/{cell}/{part}")
        folder = progress.folder / f"{cell.replace('/', '-')}-{part}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        share = kills.KILLS_PER_COMPANY / sum(left.values())
        now = {place: min(number, ceil(number * share)) for place, number in left.items()}
        faults = 0
        url = new_url(f"{cell.replace('/', '_')}_{part}", folder)
        for found in kills.soak(cell, url, folder, wanted=now, chance=chance, say=say):
            progress.add(found)
            faults += len(found.faults)
        if not faults:
            shutil.rmtree(folder)
        done = sum(kill.cell == cell for kill in progress.kills)
        say(f"{cell}: {done} kills so far, {len(progress.faults)} faults in all")


def table(done: Sequence[Kill], faults: Sequence[str]) -> list[str]:
    """The figures as lines of Markdown: a line for each cell, a column for each place."""
    head = ["cell", *PLACES, "kills", "faults", "takeover in s: median", "longest", "times"]
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    for cell in (*CELLS, "all"):
        own = [kill for kill in done if cell in (kill.cell, "all")]
        if not own:
            continue
        places = Counter(kill.place for kill in own)
        seconds = [one for kill in own for one in kill.takeovers]
        wrong = sum(cell == "all" or fault.startswith(f"{cell}:") for fault in faults)
        figures = [f"{median(seconds):.2f}", f"{max(seconds):.2f}"] if seconds else ["", ""]
        row = [cell, *(f"{places[place]:,}" for place in PLACES), f"{len(own):,}", f"{wrong:,}", *figures]
        lines.append(f"| {' | '.join([*row, f'{len(seconds):,}'])} |")
    return lines


@contextmanager
def _databases(kind: str) -> Iterator[NewUrl]:
    """A maker of URLs of new, empty databases, by name and folder; commits reach the disk as in production."""
    if kind == "sqlite":
        yield lambda name, folder: f"sqlite:///{folder / name}.db"
        return
    with postgres_server(fsync=True) as server:
        yield lambda name, folder: server.create_database(name)
