"""The tables of the billing domain.

Keys (``id``, and every column ending in ``_key``) are BIGINT and join, order and break ties; ids that people see
(``…_id``) are text. Amounts are BIGINT minor units in the asset's currency, which never changes: an asset bills in
one currency all its life, so inputs and schedules need not repeat it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from batchwright.billing.columns import ExactDecimal
from batchwright.engine.store.tables import metadata
from batchwright.engine.store.types import BigKey, PublicId, UtcTime

customer = Table(
    "customer",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("customer_id", PublicId, nullable=False, unique=True),
    Column("name", Text, nullable=False),
)

account = Table(
    "account",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("account_id", PublicId, nullable=False, unique=True),
    Column("customer_key", BigKey, ForeignKey("customer.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
)

price_book = Table(
    "price_book",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("price_book_id", PublicId, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("currency", String(3), nullable=False),
)

# A price is never changed in place: an update is a row with the next revision, and the highest one counts.
price = Table(
    "price",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("price_book_key", BigKey, ForeignKey("price_book.id"), nullable=False),
    Column("product", PublicId, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("model", String(16), nullable=False),
    Column("product_uom", String(64), nullable=False),
    Column("unit_price", ExactDecimal),
    Column("flat_fee", ExactDecimal),
    Column("percentage", ExactDecimal),
    Column("package_size", ExactDecimal),
    Column("included_quantity", ExactDecimal),
    Column("minimum_amount", ExactDecimal),
    Column("maximum_amount", ExactDecimal),
    Column("usage_indexing", Boolean, nullable=False),
    Column("flat_fee_per", String(8), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("price_book_key", "product", "effective_from", "revision"),
)

price_tier = Table(
    "price_tier",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("price_key", BigKey, ForeignKey("price.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("from_quantity", ExactDecimal, nullable=False),
    Column("to_quantity", ExactDecimal, comment="inclusive; empty = open"),
    Column("unit_price", ExactDecimal),
    Column("flat_fee", ExactDecimal),
    UniqueConstraint("price_key", "ordinal"),
)

# Contracts are revised like prices: one row per revision, the highest one of a contract_id counts.
contract = Table(
    "contract",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("contract_id", PublicId, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("customer_key", BigKey, ForeignKey("customer.id"), nullable=False, index=True),
    Column("price_book_key", BigKey, ForeignKey("price_book.id"), nullable=False),
    Column("start_date", Date, nullable=False),
    Column("end_date", Date, comment="inclusive; empty = open"),
    Column("status", String(16), nullable=False, comment="Active or Archived"),
    Column("discount_percent", ExactDecimal),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("contract_id", "revision"),
)

contract_account = Table(
    "contract_account",
    metadata,
    Column("contract_key", BigKey, ForeignKey("contract.id"), primary_key=True),
    Column("account_key", BigKey, ForeignKey("account.id"), primary_key=True),
    comment="the accounts a contract revision is limited to; no row = all accounts of the customer",
)

custom_line_item = Table(
    "custom_line_item",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("line_item_id", PublicId, nullable=False, unique=True),
    Column(
        "contract_id", PublicId, nullable=False, index=True, comment="the contract, whatever its revision"
    ),
    Column("account_key", BigKey, ForeignKey("account.id")),
    Column("description", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column(
        "amount", ExactDecimal, nullable=False, comment="an amount of money, or a percentage, by its kind"
    ),
    Column("start_date", Date, nullable=False),
    Column("end_date", Date),
)

# What custom line items come to, as the last recalculation of the month left them: replaced as a whole by the next.
account_charge = Table(
    "account_charge",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("account_key", BigKey, ForeignKey("account.id"), nullable=False),
    Column("month", String(7), nullable=False, comment="YYYY-MM"),
    Column("line_item_key", BigKey, ForeignKey("custom_line_item.id"), nullable=False),
    Column("contract_revision", Integer, nullable=False, comment="that of the item's contract, then"),
    Column("rate", ExactDecimal, nullable=False, comment="the item's amount then: of money, or a percentage"),
    Column("base", BigInteger, comment="minor units of rated usage that a percentage was taken of"),
    Column("amount", BigInteger, nullable=False, comment="minor units; below zero for a discount"),
    Column("currency", String(3), nullable=False),
    Column("run_key", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("account_key", "month", "line_item_key", "currency"),
)

asset_line_item = Table(
    "asset_line_item",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("asset_line_item_id", PublicId, nullable=False, unique=True),
    Column("asset_number", Text, nullable=False),
    Column("customer_key", BigKey, ForeignKey("customer.id"), nullable=False, index=True),
    Column("account_key", BigKey, ForeignKey("account.id")),
    Column("product", PublicId, nullable=False, index=True),
    Column("start_date", Date, nullable=False),
    Column("end_date", Date, nullable=False),
    Column("billing_frequency", String(16), nullable=False),
    Column("usage_frequency", String(16), nullable=False),
    Column("first_billing_date", Date, nullable=False),
    Column("price_book_key", BigKey, ForeignKey("price_book.id")),
    Column("selling_frequency", String(16)),
    Column("price_type", String(16), nullable=False),
    Column("list_price", ExactDecimal),
    Column(
        "currency",
        String(3),
        comment="of its own price book, else of the contract's; empty until one is known",
    ),
)

IN_ORDER = ("asset_key", "period_start_date", "id")
DAYS = ("period_end_date", "ready_for_invoice_date")

billing_schedule = Table(
    "billing_schedule",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("billing_schedule_id", PublicId, nullable=False, unique=True),
    Column("asset_key", BigKey, ForeignKey("asset_line_item.id"), nullable=False),
    Column("period_start_date", Date, nullable=False),
    Column("period_end_date", Date, nullable=False, comment="inclusive"),
    Column("fee_amount", BigInteger, nullable=False),
    Column("ready_for_invoice_date", Date, nullable=False),
    Column("type", String(16), nullable=False),
    Column("status", String(16), nullable=False, comment="Superseded among them"),
    # In the order of a list; the days at their end so that the index alone tells which rows a list leaves out.
    Index("ix_billing_schedule_listing", *IN_ORDER, *DAYS),
    Index("ix_billing_schedule_status", "status", *IN_ORDER, *DAYS),
)

# A usage schedule has its billing schedule's status: it is read through the join, never stored twice.
usage_schedule = Table(
    "usage_schedule",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("usage_schedule_id", PublicId, nullable=False, unique=True),
    Column("billing_schedule_key", BigKey, ForeignKey("billing_schedule.id"), nullable=False, index=True),
    Column(
        "asset_key", BigKey, nullable=False, index=True, comment="its billing schedule's, for the hot path"
    ),
    Column("period_start_date", Date, nullable=False),
    Column("period_end_date", Date, nullable=False, comment="inclusive"),
    Column("included_quantity", ExactDecimal, nullable=False),
    Column("actual_quantity", ExactDecimal, nullable=False),
    Column("fee_amount", BigInteger, nullable=False),
    Column("draft_rated_quantity", ExactDecimal, comment="empty until a forecast wrote it"),
    Column("draft_fee_amount", BigInteger),
    Column("type", String(16), nullable=False),
    Column(
        "rated_inputs",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="how many Rated inputs its figures hold",
    ),
)

# How far windows have come: a window counts for each price by itself. What a schedule's actual quantity has beyond its
# counts is what it was imported with. No foreign keys, as below: a run writes a row for nearly every schedule.
usage_count = Table(
    "usage_count",
    metadata,
    Column("usage_schedule_key", BigKey, primary_key=True),
    Column("price_key", BigKey, primary_key=True, comment="the first revision that counts as the same price"),
    Column("quantity", ExactDecimal, nullable=False, comment="of the Rated inputs on it, priced by that"),
    Column("inputs", Integer, nullable=False, comment="how many these are"),
    sqlite_with_rowid=False,
)

# Inputs a forecast takes: loaded ones, and those that a forecast put in Error. Written once, for the queries and
# for the index that answers them without a look at the years of rated inputs beside them.
DRAFT_CANDIDATE = text("NOT deleted AND (status = 'Loaded' OR (status = 'Error' AND error_by = 'draft'))")

# Inputs in Error: a rating counts those that it leaves behind, a reset looks for them.
IN_ERROR = text("NOT deleted AND status = 'Error'")

# Lists leave out what is deleted. A rating takes its inputs out of this index, and writes nothing there.
NOT_RATED = text("NOT deleted AND status <> 'Rated'")

# What an amount rests on (draft_run_key … draft_prior_quantity, and the same of the rated amount) names rows without a
# foreign key: PostgreSQL would look each one up again for every input a run writes. A prior quantity is what the
# window had used before; it is empty where the input was the first of its window.
usage_input = Table(
    "usage_input",
    metadata,
    Column("id", BigKey, primary_key=True, comment="also the order of arrival"),
    Column("usage_input_id", PublicId, nullable=False, unique=True),
    Column("asset_key", BigKey, ForeignKey("asset_line_item.id"), nullable=False),
    Column("usage_date", Date, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("product_uom", String(64), nullable=False),
    Column("description", Text),
    Column("status", String(8), nullable=False, comment="Loaded, Rated or Error"),
    Column(
        "error_by", String(8), comment="who put it in Error: draft, rating or unrating; a draft may try again"
    ),
    Column("code", String(32)),
    Column("message", Text),
    Column("deleted", Boolean, nullable=False, comment="gone for everybody, but its id stays taken"),
    Column("rated_amount", BigInteger),
    Column("draft_rated_amount", BigInteger),
    Column("draft_run_key", BigInteger),
    Column("draft_price_key", BigInteger),
    Column("draft_contract_key", BigInteger),
    Column("draft_discount_percent", ExactDecimal),
    Column("draft_prior_quantity", ExactDecimal),
    Column("rated_run_key", BigInteger),
    Column("rated_price_key", BigInteger),
    Column("rated_contract_key", BigInteger),
    Column("rated_discount_percent", ExactDecimal),
    Column("rated_prior_quantity", ExactDecimal),
    Column("rated_schedule_key", BigInteger, comment="the usage schedule that its rated amount is part of"),
    Index("ix_usage_input_asset_key_id", "asset_key", "id"),
    Index(
        "ix_usage_input_draft_candidate",
        "asset_key",
        "id",
        # Not to find anything by, but so that the index alone answers.
        "status",
        "error_by",
        "deleted",
        sqlite_where=DRAFT_CANDIDATE,
        postgresql_where=DRAFT_CANDIDATE,
    ),
    Index("ix_usage_input_error", "asset_key", "id", sqlite_where=IN_ERROR, postgresql_where=IN_ERROR),
    Index("ix_usage_input_error_code", "code", "id", sqlite_where=IN_ERROR, postgresql_where=IN_ERROR),
    Index("ix_usage_input_not_rated", "status", "id", sqlite_where=NOT_RATED, postgresql_where=NOT_RATED),
    # Of deleted ones, too: SQLite would else go through it for whatever asks for no more than that.
    Index("ix_usage_input_usage_date", "usage_date", "id"),
)

# The usage inputs that matched a filter when somebody asked: an act on them takes just these, in the status they had.
input_selection = Table(
    "input_selection",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("selection_id", PublicId, nullable=False, unique=True),
    Column("actor", Text, nullable=False, comment="who made it, and alone may use it"),
    Column("filter", Text, nullable=False, comment="as people write it"),
    Column("count", Integer, nullable=False),
    Column(
        "loaded", LargeBinary, nullable=False, comment="64-bit little-endian keys, rising, of Loaded ones"
    ),
    Column("rated", LargeBinary, nullable=False, comment="the same of Rated ones"),
    Column("errored", LargeBinary, nullable=False, comment="the same of those in Error"),
    Column("figures", Text, comment="JSON: counts and sums, as they were told"),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
)

# Rated inputs that came after one that a run took back: they start elsewhere in their window, and their amount is
# another one. They are not records of that run.
restatement = Table(
    "restatement",
    metadata,
    Column("run_key", BigKey, primary_key=True),
    Column("input_key", BigKey, primary_key=True, index=True),
    Column("amount_before", BigInteger, nullable=False, comment="minor units"),
    Column("amount_after", BigInteger, nullable=False, comment="minor units"),
    Column("currency", String(3), nullable=False),
    sqlite_with_rowid=False,
)

# The forecast, added up for five hundred assets at a time. A block that has no row is to be added up; one that has
# changed keeps what it came to, for who cannot wait.
forecast_block = Table(
    "forecast_block",
    metadata,
    Column("block", BigInteger, primary_key=True, autoincrement=False, comment="key of the asset by 500"),
    Column("month", Text, nullable=False, comment="JSON: the sums by month"),
    Column("customer", Text, nullable=False, comment="JSON: the sums by customer"),
    Column("product", Text, nullable=False, comment="JSON: the sums by product"),
    Column("cell", Text, nullable=False, comment="JSON: the sums by month, customer and product at once"),
    Column("stale_since", UtcTime, comment="when a change of it was first seen"),
)

# Written with each change of an asset's inputs and schedules: its blocks are to be added up anew.
forecast_change = Table(
    "forecast_change",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("blocks", LargeBinary, nullable=False, comment="64-bit little-endian; none: all there are"),
)

# Files of usage inputs that brought lines without ids: the same lines would be charged again, and no id tells.
usage_file = Table(
    "usage_file",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column(
        "lines",
        String(64),
        unique=True,
        comment="digest of its lines without ids; empty of a file from before such were kept",
    ),
    Column("sha256", String(64), nullable=False, index=True, comment="of its bytes"),
    Column("imported_at", UtcTime, nullable=False, comment="the last time"),
)

# Ids made here for records that may also be imported (IN-, US-, BS-) count up from here and skip imported ones.
id_counter = Table(
    "id_counter",
    metadata,
    Column("prefix", String(8), primary_key=True),
    Column("last", BigInteger, nullable=False),
)
