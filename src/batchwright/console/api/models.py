"""The shapes of answers, for the description of the API; what is sent is what the operations give."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Amount = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["4000.00"])]
"""An amount with the digits of its currency."""
Quantity = Annotated[str, Field(pattern=r"^-?\d+\.\d{2,}$", examples=["20.00"])]
Instant = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-21T23:05:00.000Z"])
]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$", examples=["2023-06-05"])]
Amounts = dict[str, Amount]
"""Amounts by currency."""
Item = TypeVar("Item")


class _Answer(BaseModel):
    """A shape is made ready when the description of the API is first asked for."""

    model_config = ConfigDict(defer_build=True)


class Page(_Answer, Generic[Item]):
    """A page of a listing: `next` is the `after` of the page behind it, and `null` only at the end."""

    items: list[Item]
    next: str | None


class Warning(_Answer):
    """Something a run came upon that is not the error of one record."""

    code: str
    message: str
    record_id: str | None


class Mail(_Answer):
    """A mail of the outbox."""

    mail_id: str
    run_id: str | None
    kind: str
    recipient: str | None
    status: str
    attempts: int
    next_attempt_at: Instant | None
    error: str | None
    created_at: Instant
    sent_at: Instant | None


class Acknowledgement(_Answer):
    """Who has seen what is wrong with a run, a schedule or a mail."""

    kind: Literal["run", "schedule", "mail"]
    subject: str
    actor: str
    at: Instant
    note: str | None


class Outcome(_Answer):
    """What became of one record of a run."""

    record_id: str
    outcome: Literal["ok", "error", "skipped", "not_reached"]
    code: str | None
    message: str | None
    amount: Amount | None
    currency: str | None


class Schedule(_Answer):
    """A schedule."""

    name: Annotated[str, Field(examples=["Draft Rating Job"])]
    cron: Annotated[str, Field(examples=["0 0 0 ? * * *"])]
    job: Annotated[str, Field(examples=["draft-usage-rating"])]
    parameters: dict[str, Any]
    time_zone: Annotated[str, Field(examples=["Europe/Berlin"])]
    misfire: Literal["skip", "latest", "all"]
    grace_seconds: int | None
    cap: int
    overlap: Literal["skip", "queue", "allow"]
    start: Instant | None
    end: Instant | None
    owner: str
    notify: list[str]
    paused: bool
    next_fire_at: Instant | None
    last_fire_at: Instant | None


class WholeSchedule(Schedule):
    """A schedule with all that its line in a list leaves out."""

    description: str
    held: bool
    mail_owner: bool
    reason: str | None
    explanation: str | None
    scope_size: int | None
    error_ceiling: str | None
    start_within_minutes: int | None
    finish_within_minutes: int | None
    ping: str | None
    created_at: Instant


class Fire(_Answer):
    """What became of a nominal time of a schedule, or of a range of them that was not run, and why."""

    nominal_time: Instant
    last_nominal_time: Instant
    count: int
    run_id: str | None
    decision: Literal["started", "not_run"]
    reason: str | None


LocalTime = Annotated[str, Field(examples=["2026-11-21T00:00:00+01:00"])]


class NextFire(_Answer):
    """A nominal time to come, in UTC and as the schedule's zone has it."""

    fire_at: Instant
    local_time: LocalTime


class NextFires(_Answer):
    """The first of the nominal times to come."""

    times: list[NextFire]


class Backfilled(_Answer):
    """A nominal time that had no run; `run_id` is `null` in a preview."""

    nominal_time: Instant
    local_time: LocalTime
    run_id: str | None


class Backfill(_Answer):
    """The nominal times of a window that had no run."""

    times: list[Backfilled]


class AppliedSchedules(_Answer):
    """What the text changed: names of schedules."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: list[str]


class Rewound(_Answer):
    """Names of the schedules that fire again."""

    names: list[str]


class Hold(_Answer):
    """The hold of all schedules; `released_at` is `null` while it lasts."""

    held_at: Instant | None
    released_at: Instant | None


class Explanation(_Answer):
    """A cron expression in words."""

    expression: Annotated[str, Field(examples=["0 0 22 ? * 6L"])]
    description: str
    clock_changes: str


class WholeMail(Mail):
    """A mail with the route it leaves by and the facts it is made from."""

    route: str | None
    facts: Any


Role = Literal["viewer", "operator", "Billing Utilities Admin", "administrator"]


class User(_Answer):
    """A user."""

    email: Annotated[str, Field(examples=["jane@example.com"])]
    role: Role
    os_user: str | None
    mail: Literal["always", "errors", "never", "digest"]
    disabled: bool
    has_password: bool
    has_token: bool
    created_at: Instant


class Me(User):
    """Who calls: `right` is the role that their token leaves them."""

    right: Role
    token: str | None
    token_expires_at: Instant | None


class Token(_Answer):
    """A token; `prefix` is how its text begins, `role` what it allows at most."""

    token_id: int
    name: Annotated[str, Field(examples=["token-1"])]
    prefix: str | None
    role: Role | None
    status: Literal["active", "expired", "revoked"]
    created_at: Instant | None
    created_by: str | None
    expires_at: Instant
    last_used_at: Instant | None
    revoked_at: Instant | None


class NewTokenText(Token):
    """A token that was made: this once with its text, which is kept nowhere."""

    email: str
    token: Annotated[str, Field(examples=["bw_…"])]


class Session(_Answer):
    """A browser that is signed in; `current` is the one that asks."""

    session_id: int
    address: str
    browser: str | None
    created_at: Instant
    last_used_at: Instant
    ends_at: Instant
    current: bool


class EndedSessions(_Answer):
    """How many sessions were ended."""

    ended: int


class AuditEntry(_Answer):
    """An act that somebody did or tried; `before` and `after` are JSON values."""

    entry_id: int
    at: str
    actor: str | None
    os_user: str | None
    door: str | None
    credential: str | None
    address: str | None
    act: str | None
    subject: str | None
    reason: str | None
    before: Any
    after: Any


class Unsealed(_Answer):
    """The entries that wait for their seal: `count` of them, or `more`."""

    count: int
    more: bool
    first_entry_id: int | None
    last_entry_id: int | None


class AuditProblem(_Answer):
    """Where the audit trail is not as it was sealed."""

    kind: Literal["edited", "missing", "cut_off"]
    entry_id: int | None
    message: str


class AuditVerification(_Answer):
    """Whether the audit trail is as it was sealed; `next_after` is the `after` of the next part, `null` if it ended."""

    sealed: int
    newest_hash: str | None
    next_after: int | None
    unsealed: Unsealed
    problems: list[AuditProblem]


class Worker(_Answer):
    """A worker, as it reports itself; `left_runs` are those that it leaves to others, with the reason.

    `processes` and what follows are those of the worker and its child processes; `null` where its host does not tell.
    """

    host: str
    process: int
    version: str
    revision: str
    jobs: list[str]
    runs: list[str]
    left_runs: dict[str, str]
    silent: bool
    started_at: Instant
    beat_at: Instant
    clock_ahead_seconds: float | None
    processes: int | None
    rss_bytes: int | None
    pss_bytes: int | None
    connections: int | None


class Customer(_Answer):
    """A customer."""

    customer_id: Annotated[str, Field(examples=["C-1001"])]
    name: Annotated[str, Field(examples=["Harbour Light Internet Inc."])]


class WholeCustomer(Customer):
    """A customer, and their contracts that are in force on the day `on`."""

    account_count: int
    contract_count: int
    contracts_in_force: list[str]
    on: Day


class Account(_Answer):
    """A linked management account."""

    account_id: Annotated[str, Field(examples=["HL-EAST"])]
    customer_id: str
    name: str


class WholeAccount(Account):
    """An account, and the contracts that cover it on the day `on`."""

    contracts_in_force: list[str]
    on: Day


class PriceBook(_Answer):
    """A price book."""

    price_book_id: Annotated[str, Field(examples=["PB-US-2023"])]
    name: Annotated[str, Field(examples=["North America list 2023"])]
    currency: Annotated[str, Field(examples=["USD"])]


class WholePriceBook(PriceBook):
    """A price book, and how many of its products have a price on the day `on`."""

    price_count: int
    products_in_force: int
    on: Day


class PriceTerms(_Answer):
    """What a price says."""

    model: str
    product_uom: str
    unit_price: Amount | None
    flat_fee: Amount | None
    percentage: Quantity | None
    package_size: Quantity | None
    included_quantity: Quantity | None
    minimum_amount: Amount | None
    maximum_amount: Amount | None
    usage_indexing: bool
    flat_fee_per: Literal["window", "input"]


class Price(PriceTerms):
    """A price of a product, from a day on, in its newest revision."""

    price_book_id: str
    product: str
    effective_from: Day


class PriceTier(_Answer):
    """A tier of a price; `to_quantity` is inclusive, `null` is open."""

    from_quantity: Quantity
    to_quantity: Quantity | None
    unit_price: Amount | None
    flat_fee: Amount | None


class PriceRevision(PriceTerms):
    """What a price said from a moment on."""

    revision: int
    created_at: Instant
    tiers: list[PriceTier]


class WholePrice(Price):
    """A price with its tiers and revisions; `price_in_force` is the one of the product on the day `on`."""

    price_id: Annotated[str, Field(examples=["PB-US-2023/Compute Hours/2023-01-01"])]
    revision: int
    created_at: Instant
    currency: str
    tiers: list[PriceTier]
    in_force: bool
    price_in_force: str | None
    revisions: list[PriceRevision]
    on: Day


class ContractTerms(_Answer):
    """What a contract says; no `account_ids` are all of the customer's."""

    price_book_id: str
    start_date: Day
    end_date: Day | None
    status: Literal["Active", "Archived"]
    discount_percent: Quantity | None
    account_ids: list[str]


class Contract(ContractTerms):
    """A contract in its newest revision."""

    contract_id: Annotated[str, Field(examples=["CT-HL-2023"])]
    customer_id: Annotated[str, Field(examples=["C-1001"])]


class ContractRevision(ContractTerms):
    """What a contract said from a moment on."""

    revision: int
    created_at: Instant


class WholeContract(Contract):
    """A contract with its revisions, and whether it is in force on the day `on`."""

    revision: int
    created_at: Instant
    currency: str
    in_force: bool
    revisions: list[ContractRevision]
    on: Day


class CustomLineItem(_Answer):
    """A charge or discount of a contract, per account and month; its amount is a percentage by its kind."""

    line_item_id: Annotated[str, Field(examples=["CLI-001"])]
    contract_id: str
    account_id: str | None
    description: str
    kind: Literal["fixed_discount", "fixed_charge", "percentage_charge", "percentage_discount"]
    amount: Amount
    start_date: Day
    end_date: Day | None


class WholeCustomLineItem(CustomLineItem):
    """A custom line item, and whether it counts on the day `on`."""

    currency: str
    in_force: bool
    on: Day


class ImportedFile(_Answer):
    """What became of the lines of a file."""

    file: Annotated[str, Field(examples=["usage_inputs.csv"])]
    rows: int
    loaded: int
    updated: int
    skipped: int
    sha256: str


class ImportReport(_Answer):
    """What an import did; `bad_lines` is a CSV file of those that were left out, if that was asked for."""

    files: list[ImportedFile]
    billing_schedules_made: int
    usage_schedules_made: int
    skipped: int
    problems: list[str]
    seconds: float
    bad_lines: str | None


class Run(_Answer):
    """A run, as the run log shows it; `pruned_at` is there where what became of its records is deleted."""

    run_id: Annotated[str, Field(examples=["JR-00000001"])]
    job: str
    type: str
    mode: Literal["sync", "batch", "dry_run"]
    status: str
    badge: str
    actor: str
    reason: str | None
    explanation: str | None
    parameters: dict[str, Any]
    trigger: str
    schedule: str | None
    parent_run_id: str | None
    customer_id: str | None
    periods: list[str] | None
    total: int | None
    processed: int | None
    errored: int | None
    skipped: int | None
    not_reached: int | None
    totals: dict[str, Amounts]
    warnings: list[Warning]
    error: str | None
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    duration_seconds: float | None
    pruned_at: Instant = ""


class PrunedOfJob(_Answer):
    """Of one job."""

    job: str
    runs: int
    records: int


class Pruned(_Answer):
    """Runs that were pruned. `kept` are as old but still needed; `unfinished` still have records to be deleted."""

    older_than: Instant
    jobs: list[str]
    runs: int
    records: int
    oldest: Instant | None
    newest: Instant | None
    by_job: list[PrunedOfJob]
    kept: int
    unfinished: int


class PruningPlan(Pruned):
    """Runs that would be pruned, with the number of their scopes."""

    scopes: int


class Restatement(_Answer):
    """What an unrating or a recalculation restated beside its records."""

    record_id: str
    before: Amount | None
    after: Amount | None
    currency: str | None


class RunShown(Run):
    """A run with its mail and the runs that follow it; `cannot_retry` says why a retry would be refused, if so.

    `restated` is there for unratings and recalculations, `owner` and what follows it while it works.
    """

    children: list[str]
    mails: list[Mail]
    restated: list[Restatement] = []
    cannot_retry: str = ""
    owner: str = ""
    owner_beat_seconds: float | None = None
    no_worker: str = ""


class Cell(_Answer):
    """Some scopes of a run, one after another."""

    first_scope: int
    last_scope: int
    done: int
    first_record: int
    records: int
    ok: int
    errored: int
    skipped: int


class Progress(_Answer):
    """How far a run is, and how fast it goes."""

    run_id: str
    records_per_second: float | None
    seconds_left: float | None
    last_done_at: Instant | None
    claimed_at: Instant | None
    scopes: int
    strip: list[Cell]


class OutcomeCount(_Answer):
    """How many records of a run have one outcome and code."""

    outcome: Literal["ok", "error", "skipped", "not_reached"]
    code: str | None
    count: int


class PreviewLine(_Answer):
    """What a dry run would have written to one record, and what it was computed with."""

    kind: str
    record_id: str
    customer_id: str | None
    amount: Amount | None
    currency: str | None
    before: Amount | None
    after: Amount | None
    difference: Amount | None
    detail: dict[str, Any]


class Job(_Answer):
    """A job."""

    name: Annotated[str, Field(examples=["draft-usage-rating"])]
    type: str
    record_noun: str
    retry_unit: str | None
    scope_size: int
    dry_run: bool
    description: str


class JobShown(Job):
    """A job, with the JSON schema of its parameters."""

    parameters: dict[str, Any]


class RunWithOutcomes(Run):
    """A run that was driven at once, with the outcome of each of its records."""

    outcomes: list[Outcome]


class UsageInput(_Answer):
    """A usage input; amounts are `null` until rated."""

    usage_input_id: Annotated[str, Field(examples=["IN-00007052"])]
    asset_line_item_id: str
    asset_number: str
    status: Literal["Loaded", "Rated", "Error"]
    code: str | None
    message: str | None
    quantity: Quantity
    usage_date: Day
    product_uom: str
    description: str | None
    currency: str | None
    rated_amount: Amount | None
    draft_rated_amount: Amount | None


class Selection(_Answer):
    """What matched a filter when it was made; good for whoever made it, until `expires_at`."""

    selection_id: str
    count: int
    by_status: dict[str, int]
    sums: dict[str, Amounts]
    assets: int
    partial_assets: int
    expires_at: Instant


class PriceOfAmount(_Answer):
    """The revision of a price that an amount rests on."""

    price_book_id: str
    product: str
    effective_from: Day
    revision: int
    model: str
    usage_indexing: bool


class ContractOfAmount(_Answer):
    """The revision of a contract that an amount rests on."""

    contract_id: str
    revision: int


class Line(_Answer):
    """A line of an amount; they sum to it."""

    key: str
    quantity: Quantity | None
    unit_price: Quantity | None
    amount: Quantity


class AmountExplained(_Answer):
    """What an amount was computed with."""

    amount: Amount
    currency: str
    run_id: str
    quantity: Quantity
    prior_quantity: Quantity
    first_in_window: bool
    price: PriceOfAmount
    contract: ContractOfAmount | None
    discount_percent: Quantity | None
    usage_schedule_id: str | None
    billing_schedule_id: str | None
    billing_schedule_status: str | None
    lines: list[Line]


class ByAmendment(_Answer):
    """An amount that an amendment took to zero."""

    amount: Amount
    currency: str | None
    amendment: dict[str, Any]
    lines: list[Line]


class Explanations(_Answer):
    """Of the rated and of the draft amount."""

    rated: AmountExplained | ByAmendment | None
    draft: AmountExplained | ByAmendment | None


class History(_Answer):
    """What became of a usage input in one run; `before` and `after` where that restated it."""

    run_id: str
    type: str
    mode: str
    started_at: Instant | None
    actor: str
    reason: str | None
    outcome: Literal["ok", "error", "skipped", "not_reached", "restated"]
    code: str | None
    message: str | None
    amount: Amount | None
    currency: str | None
    before: Amount | None = None
    after: Amount | None = None


class ActOnInput(_Answer):
    """What somebody did to a usage input, and what changed of it."""

    at: Instant
    actor: str
    act: str
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class UsageInputExplained(UsageInput):
    """A usage input: how its amounts came about, and what became of it; `history_next` leads to what was before."""

    explanation: Explanations
    history: list[History]
    history_next: str | None
    history_pruned_until: dict[str, Instant] = {}
    acts: list[ActOnInput]


class UsageSchedule(_Answer):
    """A usage schedule; its draft figures are `null` until forecast."""

    usage_schedule_id: Annotated[str, Field(examples=["US-00008311"])]
    billing_schedule_id: str
    asset_line_item_id: str
    period_start_date: Day
    period_end_date: Day
    included_quantity: Quantity
    actual_quantity: Quantity
    fee_amount: Amount
    draft_rated_quantity: Quantity | None
    draft_fee_amount: Amount | None
    currency: str | None
    type: Literal["Usage"]
    status: str
    superseded: bool


class BillingSchedule(_Answer):
    """A billing schedule."""

    billing_schedule_id: Annotated[str, Field(examples=["BS-01311820"])]
    asset_line_item_id: str
    period_start_date: Day
    period_end_date: Day
    fee_amount: Amount
    ready_for_invoice_date: Day
    currency: str | None
    type: Literal["Contracted"]
    status: str
    superseded: bool


class StatusPlan(_Answer):
    """What setting a status would do, in numbers."""

    status: str
    moving: int
    untouched: int
    by_status: dict[str, int]
    fee_amounts: Amounts


class StatusReport(_Answer):
    """Ids of the billing schedules that were set to the status, and of those that had it."""

    moved: list[str]
    untouched: list[str]


class ForecastLine(_Answer):
    """Draft beside rated, for a `month`, a customer or a `product`, and a currency."""

    month: str = ""
    customer_id: str = ""
    customer_name: str = ""
    product: str = ""
    currency: str | None
    draft_rated_quantity: Quantity | None
    draft_fee_amount: Amount | None
    actual_quantity: Quantity | None
    fee_amount: Amount


class Forecast(Page[ForecastLine]):
    """All lines. Up to `changed_assets` assets are counted as they were at `changed_since`, and up to `missing_assets`
    are not counted: a worker has not added them up yet. With `no_worker`, none is there to do so.
    """

    changed_assets: int
    changed_since: Instant | None
    missing_assets: int
    no_worker: bool


class LivePeriods(_Answer):
    """A run that holds months of a customer."""

    run_id: str
    periods: list[str]


class OfferedCustomer(_Answer):
    """A customer that can be recalculated, and the months."""

    customer_id: str
    name: str
    contract_ids: list[str]
    account_ids: list[str]
    periods: list[str]
    periods_without_rating: list[str] | None
    estimated_seconds_per_period: float | None
    live: list[LivePeriods]


class Offer(_Answer):
    """What can be recalculated today, and for which reasons."""

    today: Day
    reasons: list[str]
    customers: list[OfferedCustomer]


class AccountCharge(_Answer):
    """What a custom line item came to for an account and a month."""

    customer_id: str
    account_id: str
    period: str
    line_item_id: str
    contract_id: str
    contract_revision: int
    description: str
    kind: str
    rate: str
    base_amount: Amount | None
    amount: Amount
    currency: str
    run_id: str | None
    computed_at: Instant


class AssetLineItem(_Answer):
    """An asset line item: the columns of its CSV file, and its currency."""

    asset_line_item_id: Annotated[str, Field(examples=["ALI-0001"])]
    asset_number: str
    customer_id: str
    account_id: str | None
    product: str
    start_date: Day
    end_date: Day
    billing_frequency: str
    usage_frequency: str
    first_billing_date: Day
    price_book_id: str | None
    selling_frequency: str | None
    price_type: str
    list_price: Amount | None
    currency: str | None


class Terms(_Answer):
    """What an amendment can change."""

    end_date: Day
    price_book_id: str | None
    billing_frequency: str
    usage_frequency: str


class TermsChanged(_Answer):
    """Terms before and after an amendment."""

    before: Terms
    after: Terms


class FutureBillingSchedule(BillingSchedule):
    """A billing schedule; one that would be made has no id yet."""

    billing_schedule_id: str | None  # type: ignore[assignment]


class FutureUsageSchedule(UsageSchedule):
    """A usage schedule; one that would be made has no id yet."""

    usage_schedule_id: str | None  # type: ignore[assignment]
    billing_schedule_id: str | None  # type: ignore[assignment]


class AmendedBillingSchedules(_Answer):
    """Billing schedules that give way, and those in their place."""

    superseded: list[BillingSchedule]
    created: list[FutureBillingSchedule]


class AmendedUsageSchedules(_Answer):
    """Usage schedules that give way, and those in their place."""

    superseded: list[UsageSchedule]
    created: list[FutureUsageSchedule]


class ChargedElsewhere(_Answer):
    """What a superseded billing schedule was taken over with; no rating charges it again."""

    billing_schedule_id: str
    amount: Amount
    currency: str | None


class StaysInvoiced(_Answer):
    """A billing schedule that stays, charged for what came after usage that goes to zero.

    `would_be` is what that would come to without it; null where it could not be priced.
    """

    billing_schedule_id: str
    status: str
    amount: Amount
    would_be: Amount | None
    difference: Amount | None
    currency: str


class InputBefore(_Answer):
    """A usage input before an amendment."""

    status: str
    rated_amount: Amount | None
    draft_rated_amount: Amount | None
    usage_schedule_id: str
    billing_schedule_id: str


class InputAfter(_Answer):
    """A usage input after an amendment."""

    status: str
    rated_amount: Amount
    draft_rated_amount: Amount


class AmendedInput(_Answer):
    """A usage input whose amounts go to zero; `covered` says whether a schedule is there for its day."""

    usage_input_id: str
    usage_date: Day
    quantity: Quantity
    currency: str | None
    before: InputBefore
    after: InputAfter
    covered: bool


class Amendment(_Answer):
    """What an amendment does, or would do."""

    asset_line_item_id: str
    terms: TermsChanged
    billing_schedules: AmendedBillingSchedules
    usage_schedules: AmendedUsageSchedules
    charged_elsewhere: list[ChargedElsewhere]
    invoiced: list[StaysInvoiced]
    usage_inputs: list[AmendedInput]
