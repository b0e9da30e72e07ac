"""Imports with `--update` in tests, of files that name some of their columns, and what a price then is."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from tests.jobs.fractions import TIERS, Rule, decimal_of, random_rule
from tests.support.application import ACTOR

Line = Mapping[str, str]
"""A line of a file: its cells by column."""

COLUMNS = {"per_unit": "unit_price", "package": "unit_price", "flat": "flat_fee"}
"""The column in which a price has its number; the other models have theirs in tiers."""


def update(app: Application, **files: Sequence[Line]) -> None:
    """Import with `--update` files of these names, each with the columns of its first line."""
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in files.items():
            if lines:
                with (Path(folder) / f"{name}.csv").open("w", newline="") as file:
                    writer = csv.DictWriter(file, list(lines[0]))
                    writer.writeheader()
                    writer.writerows(lines)
        import_paths(app, [Path(folder)], update=True, actor=ACTOR)


def updated_rule(chance: Random, there: Rule | None) -> tuple[Rule, dict[str, str], list[dict[str, str]]]:
    """A price after an update, and what its files say: the cells beside its identity, and the tiers.

    What they do not say stands; a price that was not there has nothing that could. An empty cell blanks.
    """
    drawn = random_rule(chance)
    rule = replace(drawn, indexed=False, included=Fraction(0)) if there is None else there
    if there is not None and chance.random() < 0.3:
        rule = replace(rule, model=drawn.model)
    cells, tiers = {"model": rule.model}, list[dict[str, str]]()
    column = COLUMNS.get(rule.model)
    stands = there is not None and (
        there.model == rule.model or (column is not None and COLUMNS.get(there.model) == column)
    )
    if not stands or chance.random() < 0.5:
        rule = replace(rule, number=drawn.number)
        if column is None:
            tiers = tiers_of(drawn.number)
        else:
            cells[column] = str(decimal_of(drawn.number))
    if rule.model == "package" and (there is None or there.model != "package" or chance.random() < 0.5):
        cells["package_size"] = "10"
    if chance.random() < 0.5:
        cells["included_quantity"] = chance.choice(("", "7"))
        rule = replace(rule, included=Fraction(cells["included_quantity"] or 0))
    if chance.random() < 0.5:
        cells["usage_indexing"] = chance.choice(("", "true", "false"))
        rule = replace(rule, indexed=cells["usage_indexing"] == "true")
    return rule, cells, tiers


def tiers_of(number: Fraction) -> list[dict[str, str]]:
    """The tiers of a price of that number, as lines without its identity."""
    lines, low = [], Fraction(0)
    for to, price in TIERS:
        high = "" if to is None else str(to)
        unit = str(decimal_of(price * number))
        lines.append({"from_quantity": str(low), "to_quantity": high, "unit_price": unit})
        low = low if to is None else to
    return lines
