"""What schedules come to when a rating adds to their figures, or an unrating takes back. Pure: sums, no statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from batchwright.billing.counts import Counts, Share
from batchwright.billing.exact import EXACT, canonical
from batchwright.billing.periods import Day
from batchwright.billing.records.assets_and_inputs import END, SCHEDULE_KEY, START, USAGE_DATE
from batchwright.billing.records.counts import Count
from batchwright.billing.records.ratings import Charged, LateBilling, LateUsage, NewFee, NewFigures
from batchwright.billing.usage import AssetUsage, ChargedSchedule, Posting


@dataclass(slots=True)
class LatePlan:
    """A billing schedule to be made, and the usage schedules under it, by the key of those they stand beside."""

    billing_schedule: LateBilling
    usage_schedules: dict[int, LateUsage] = field(default_factory=dict)


@dataclass(slots=True)
class Charges:
    """What is to be written to schedules.

    ``late_usage`` are usage schedules to be made under existing billing schedules, ``late`` those to be made with one
    of their own; both by the key of the billed schedule beside which they stand. A key below zero in
    ``counts`` is that of such a schedule.
    """

    figures: list[NewFigures] = field(default_factory=list)
    fees: list[NewFee] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    late_usage: dict[int, LateUsage] = field(default_factory=dict)
    late: list[LatePlan] = field(default_factory=list)


def charges_of(usages: Iterable[AssetUsage], charged: Mapping[int, Charged], counts: Counts) -> Charges:
    """What a rating writes to schedules; those on which only bad inputs fell are left alone."""
    charges = Charges()
    for usage in usages:
        for schedule in usage.billing_schedules:
            postings = {key: usage.postings[key] for key in schedule.usage_keys if usage.postings[key].inputs}
            if postings:
                _charge(charges, usage, schedule, postings, charged)
                charges.counts += [
                    counts.plus(key, counts_as, tally)
                    for key, posting in postings.items()
                    for counts_as, tally in posting.tallies.items()
                    if tally.inputs
                ]
    return charges


def figures_after(before: Charged, quantity: Decimal, fee: int, inputs: int) -> NewFigures:
    """The figures of a usage schedule when this is added to them."""
    summed = EXACT.add(Decimal(before.quantity), quantity)
    return canonical(summed), before.fee + fee, before.inputs + inputs, before.key, before.fee


def _charge(
    charges: Charges,
    usage: AssetUsage,
    schedule: ChargedSchedule,
    postings: Mapping[int, Posting],
    charged: Mapping[int, Charged],
) -> None:
    fee = sum(posting.fee for posting in postings.values())
    usage_schedules = charges.late_usage
    if schedule.key is not None:
        charges.fees.append((schedule.had + fee, schedule.key, schedule.had))
    else:
        plan = LatePlan(LateBilling(usage.asset.key, *schedule.period, fee, _first_day(usage, postings)))
        charges.late.append(plan)
        usage_schedules = plan.usage_schedules
    days = {row[SCHEDULE_KEY]: (row[START], row[END]) for row in usage.schedules}
    for key, posting in postings.items():
        if key > 0:
            charges.figures.append(figures_after(charged[key], posting.quantity, posting.fee, posting.inputs))
        else:
            usage_schedules[-key] = LateUsage(
                schedule.key or 0,
                usage.asset.key,
                *days[-key],
                quantity=canonical(posting.quantity),
                fee=posting.fee,
                inputs=posting.inputs,
            )


def _first_day(usage: AssetUsage, postings: Mapping[int, Posting]) -> Day:
    """The usage date of the first input that fell on one of these: inputs come by usage date."""
    return next(row[USAGE_DATE] for *_, row, schedule_key, _ in usage.rated if schedule_key in postings)


def taken_back(
    taken: Iterable[tuple[Share, int]],
    restated: Iterable[tuple[int, int]],
    charged: Mapping[int, Charged],
    counts: Counts,
) -> Charges:
    """What an unrating writes to schedules.

    ``taken`` is, of each input that is taken back, what it is of a count, and its amount; ``restated``, of each that
    comes to something else now, its usage schedule and what it comes to more.
    """
    charges, sums = Charges(), dict[int, Posting]()
    for share, amount in taken:
        posting = sums.setdefault(share.schedule_key, Posting())
        posting.fee -= amount
        tally = posting.tally_of(share.counts_as)
        tally.quantity = EXACT.subtract(tally.quantity, share.quantity)
        tally.inputs -= 1
    for key, difference in restated:
        sums.setdefault(key, Posting()).fee += difference
    fees: dict[int, int] = {}
    had: dict[int, int] = {}
    for key, posting in sums.items():
        before = charged[key]
        had[before.billing_key] = before.billing_fee
        fees[before.billing_key] = fees.get(before.billing_key, before.billing_fee) + posting.fee
        charges.figures.append(figures_after(before, posting.quantity, posting.fee, posting.inputs))
        charges.counts += [counts.plus(key, price, tally) for price, tally in posting.tallies.items()]
    charges.fees += [(fee, key, had[key]) for key, fee in fees.items()]
    return charges
