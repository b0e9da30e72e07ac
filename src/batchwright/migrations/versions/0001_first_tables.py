"""The first tables: runs and their ledger, billing records, outbox, audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.billing.columns import ExactDecimal
from batchwright.engine.store.types import BigKey, PublicId, UtcTime

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Make every table. Leases stand in a file of their own on SQLite, and here on PostgreSQL."""
    make_tables()
    if op.get_bind().dialect.name == "postgresql":
        make_lease_tables()


def make_tables() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="who it was, as claimed"),
        sa.Column("os_user", sa.Text(), nullable=False, comment="who it was, as the operating system says"),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column(
            "subject", sa.Text(), nullable=False, comment="id of what was acted on, or a count of them"
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("before", sa.Text(), nullable=True, comment="JSON"),
        sa.Column("after", sa.Text(), nullable=True, comment="JSON"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"], unique=False)
    op.create_table(
        "customer",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("customer_id", PublicId, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_customer_customer_id")),
    )
    op.create_table(
        "id_counter",
        sa.Column("prefix", sa.String(length=8), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_id_counter")),
    )
    op.create_table(
        "price_book",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("price_book_id", PublicId, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_book")),
        sa.UniqueConstraint("price_book_id", name=op.f("uq_price_book_price_book_id")),
    )
    op.create_table(
        "run",
        sa.Column("id", BigKey, nullable=False),
        sa.Column(
            "run_id",
            PublicId,
            nullable=True,
            comment="JR- and the key, eight digits; set right after the insert",
        ),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column(
            "type", sa.String(length=64), nullable=False, comment="what the log calls this kind of job"
        ),
        sa.Column("mode", sa.String(length=8), nullable=False, comment="sync, batch or dry_run"),
        sa.Column(
            "in_caller",
            sa.Boolean(),
            nullable=False,
            comment="driven by the caller outside the flex queue (sync)",
        ),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="who asked for it, as claimed"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("parameters", sa.Text(), nullable=False, comment="JSON object, as validated"),
        sa.Column(
            "trigger",
            sa.String(length=16),
            nullable=False,
            comment="cli, python, api, console, schedule, job or retry",
        ),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.Column("parent_id", BigKey, nullable=True),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("periods", sa.Text(), nullable=True, comment="JSON list of YYYY-MM"),
        sa.Column("scope_size", sa.Integer(), nullable=False),
        sa.Column(
            "error_ceiling",
            sa.String(length=16),
            nullable=True,
            comment="a count, or a percentage such as 5%",
        ),
        sa.Column("notify", sa.Text(), nullable=False, comment="JSON list of addresses"),
        sa.Column("mail_actor", sa.Boolean(), nullable=False),
        sa.Column(
            "queue_key",
            sa.Text(),
            nullable=False,
            comment="whose turn it is is decided among keys; default: the actor",
        ),
        sa.Column("queue_position", sa.BigInteger(), nullable=False),
        sa.Column(
            "fence",
            sa.BigInteger(),
            nullable=False,
            comment="raised by every claim; a scope commits only under its own",
        ),
        sa.Column("owner", sa.Text(), nullable=True, comment="host and process that drive it now"),
        sa.Column(
            "total", sa.Integer(), nullable=True, comment="records planned; empty until planning is done"
        ),
        sa.Column(
            "processed",
            sa.Integer(),
            nullable=True,
            comment="these four counts are written when the run ends",
        ),
        sa.Column("errored", sa.Integer(), nullable=True),
        sa.Column("skipped", sa.Integer(), nullable=True),
        sa.Column("not_reached", sa.Integer(), nullable=True),
        sa.Column(
            "totals",
            sa.Text(),
            nullable=True,
            comment="JSON: name -> currency -> minor units; written when the run ends",
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["parent_id"], ["run.id"], name=op.f("fk_run_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("run_id", name=op.f("uq_run_run_id")),
    )
    op.create_index(op.f("ix_run_parent_id"), "run", ["parent_id"], unique=False)
    op.create_index("ix_run_state", "run", ["state"], unique=False)
    op.create_table(
        "account",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("account_id", PublicId, nullable=False),
        sa.Column("customer_key", BigKey, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["customer_key"], ["customer.id"], name=op.f("fk_account_customer_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("account_id", name=op.f("uq_account_account_id")),
    )
    op.create_index(op.f("ix_account_customer_key"), "account", ["customer_key"], unique=False)
    op.create_table(
        "contract",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("contract_id", PublicId, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("customer_key", BigKey, nullable=False),
        sa.Column("price_book_key", BigKey, nullable=False),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=True, comment="inclusive; empty = open"),
        sa.Column("status", sa.String(length=16), nullable=False, comment="Active or Archived"),
        sa.Column("discount_percent", ExactDecimal(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["customer_key"], ["customer.id"], name=op.f("fk_contract_customer_key")),
        sa.ForeignKeyConstraint(
            ["price_book_key"], ["price_book.id"], name=op.f("fk_contract_price_book_key")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract")),
        sa.UniqueConstraint("contract_id", "revision", name=op.f("uq_contract_contract_id_revision")),
    )
    op.create_index(op.f("ix_contract_customer_key"), "contract", ["customer_key"], unique=False)
    op.create_table(
        "mail",
        sa.Column("id", BigKey, nullable=False),
        sa.Column(
            "mail_id",
            PublicId,
            nullable=True,
            comment="ML- and the key, eight digits; set right after the insert",
        ),
        sa.Column("run_id", BigKey, nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False, comment="which template: run_ended"),
        sa.Column("recipient", sa.Text(), nullable=True, comment="an address; empty when the actor has none"),
        sa.Column(
            "facts", sa.Text(), nullable=False, comment="JSON: what the message is made from at delivery"
        ),
        sa.Column(
            "status", sa.String(length=16), nullable=False, comment="waiting, sent, failed or no_recipient"
        ),
        sa.Column("message_id", sa.Text(), nullable=False, comment="the same for every attempt"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "next_attempt_at",
            UtcTime(),
            nullable=True,
            comment="not before; raised before each attempt, so that a dead sender blocks nobody",
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("sent_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_mail_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail")),
        sa.UniqueConstraint("mail_id", name=op.f("uq_mail_mail_id")),
    )
    op.create_index(op.f("ix_mail_run_id"), "mail", ["run_id"], unique=False)
    op.create_index("ix_mail_status_next_attempt_at", "mail", ["status", "next_attempt_at"], unique=False)
    op.create_table(
        "price",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("price_book_key", BigKey, nullable=False),
        sa.Column("product", PublicId, nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=16), nullable=False),
        sa.Column("product_uom", sa.String(length=64), nullable=False),
        sa.Column("unit_price", ExactDecimal(), nullable=True),
        sa.Column("flat_fee", ExactDecimal(), nullable=True),
        sa.Column("percentage", ExactDecimal(), nullable=True),
        sa.Column("package_size", ExactDecimal(), nullable=True),
        sa.Column("included_quantity", ExactDecimal(), nullable=True),
        sa.Column("minimum_amount", ExactDecimal(), nullable=True),
        sa.Column("maximum_amount", ExactDecimal(), nullable=True),
        sa.Column("usage_indexing", sa.Boolean(), nullable=False),
        sa.Column("flat_fee_per", sa.String(length=8), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["price_book_key"], ["price_book.id"], name=op.f("fk_price_price_book_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price")),
        sa.UniqueConstraint(
            "price_book_key",
            "product",
            "effective_from",
            "revision",
            name=op.f("uq_price_price_book_key_product_effective_from_revision"),
        ),
    )
    op.create_table(
        "run_selection",
        sa.Column("run_id", BigKey, nullable=False),
        sa.Column(
            "key",
            sa.BigInteger(),
            nullable=False,
            comment="key of a record, or of a group, that the caller named",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_selection_run_id")),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_run_selection")),
    )
    op.create_table(
        "scope",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("run_id", BigKey, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="1, 2, 3 … in the order of planning"),
        sa.Column(
            "first_record",
            sa.Integer(),
            nullable=False,
            comment="ordinal in the run of its first record, from 1",
        ),
        sa.Column("state", sa.String(length=8), nullable=False, comment="pending or done"),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=False, comment="64-bit little-endian keys, in order"),
        sa.Column(
            "groups",
            sa.LargeBinary(),
            nullable=False,
            comment="64-bit little-endian group keys; also groups without a record",
        ),
        sa.Column("first_group", sa.BigInteger(), nullable=True),
        sa.Column("last_group", sa.BigInteger(), nullable=True),
        sa.Column("ok", sa.Integer(), nullable=True),
        sa.Column("errored", sa.Integer(), nullable=True),
        sa.Column("skipped", sa.Integer(), nullable=True),
        sa.Column("totals", sa.Text(), nullable=True, comment="JSON: name -> currency -> minor units"),
        sa.Column(
            "amounts",
            sa.LargeBinary(),
            nullable=True,
            comment="64-bit minor units in the order of keys; the smallest number means none",
        ),
        sa.Column(
            "currencies",
            sa.Text(),
            nullable=True,
            comment="JSON: one currency for all, or a list with each record's",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_scope_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scope")),
        sa.UniqueConstraint("run_id", "number", name=op.f("uq_scope_run_id_number")),
    )
    op.create_table(
        "asset_line_item",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("asset_line_item_id", PublicId, nullable=False),
        sa.Column("asset_number", sa.Text(), nullable=False),
        sa.Column("customer_key", BigKey, nullable=False),
        sa.Column("account_key", BigKey, nullable=True),
        sa.Column("product", PublicId, nullable=False),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=False),
        sa.Column("billing_frequency", sa.String(length=16), nullable=False),
        sa.Column("usage_frequency", sa.String(length=16), nullable=False),
        sa.Column("first_billing_date", sa.Date(), nullable=False),
        sa.Column("price_book_key", BigKey, nullable=True),
        sa.Column("selling_frequency", sa.String(length=16), nullable=True),
        sa.Column("price_type", sa.String(length=16), nullable=False),
        sa.Column("list_price", ExactDecimal(), nullable=True),
        sa.Column(
            "currency",
            sa.String(length=3),
            nullable=True,
            comment="of its own price book, else of the contract's; empty until one is known",
        ),
        sa.ForeignKeyConstraint(["account_key"], ["account.id"], name=op.f("fk_asset_line_item_account_key")),
        sa.ForeignKeyConstraint(
            ["customer_key"], ["customer.id"], name=op.f("fk_asset_line_item_customer_key")
        ),
        sa.ForeignKeyConstraint(
            ["price_book_key"], ["price_book.id"], name=op.f("fk_asset_line_item_price_book_key")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset_line_item")),
        sa.UniqueConstraint("asset_line_item_id", name=op.f("uq_asset_line_item_asset_line_item_id")),
    )
    op.create_index(
        op.f("ix_asset_line_item_customer_key"), "asset_line_item", ["customer_key"], unique=False
    )
    op.create_table(
        "contract_account",
        sa.Column("contract_key", BigKey, nullable=False),
        sa.Column("account_key", BigKey, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_key"], ["account.id"], name=op.f("fk_contract_account_account_key")
        ),
        sa.ForeignKeyConstraint(
            ["contract_key"], ["contract.id"], name=op.f("fk_contract_account_contract_key")
        ),
        sa.PrimaryKeyConstraint("contract_key", "account_key", name=op.f("pk_contract_account")),
        comment="the accounts a contract revision is limited to; no row = all accounts of the customer",
    )
    op.create_table(
        "custom_line_item",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("line_item_id", PublicId, nullable=False),
        sa.Column("contract_id", PublicId, nullable=False, comment="the contract, whatever its revision"),
        sa.Column("account_key", BigKey, nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column(
            "amount",
            ExactDecimal(),
            nullable=False,
            comment="an amount of money, or a percentage, by its kind",
        ),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_key"], ["account.id"], name=op.f("fk_custom_line_item_account_key")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_line_item")),
        sa.UniqueConstraint("line_item_id", name=op.f("uq_custom_line_item_line_item_id")),
    )
    op.create_index(
        op.f("ix_custom_line_item_contract_id"), "custom_line_item", ["contract_id"], unique=False
    )
    op.create_table(
        "outcome",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("run_id", BigKey, nullable=False),
        sa.Column("scope_id", BigKey, nullable=False),
        sa.Column("record_key", sa.BigInteger(), nullable=False),
        sa.Column(
            "outcome",
            sa.String(length=8),
            nullable=False,
            comment="error or skipped; an ok record has no row",
        ),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_outcome_run_id")),
        sa.ForeignKeyConstraint(["scope_id"], ["scope.id"], name=op.f("fk_outcome_scope_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcome")),
        sa.UniqueConstraint("run_id", "record_key", name=op.f("uq_outcome_run_id_record_key")),
    )
    op.create_index(op.f("ix_outcome_scope_id"), "outcome", ["scope_id"], unique=False)
    op.create_table(
        "preview_line",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("run_id", BigKey, nullable=False),
        sa.Column("scope_id", BigKey, nullable=False),
        sa.Column(
            "kind",
            sa.String(length=32),
            nullable=False,
            comment="what would change: usage_input, usage_schedule",
        ),
        sa.Column("record_id", PublicId, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True, comment="minor units"),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column(
            "detail",
            sa.Text(),
            nullable=False,
            comment="JSON: what the amount was computed with, and its lines",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_preview_line_run_id")),
        sa.ForeignKeyConstraint(["scope_id"], ["scope.id"], name=op.f("fk_preview_line_scope_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preview_line")),
    )
    op.create_index(op.f("ix_preview_line_run_id"), "preview_line", ["run_id"], unique=False)
    op.create_table(
        "price_tier",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("price_key", BigKey, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("from_quantity", ExactDecimal(), nullable=False),
        sa.Column("to_quantity", ExactDecimal(), nullable=True, comment="inclusive; empty = open"),
        sa.Column("unit_price", ExactDecimal(), nullable=True),
        sa.Column("flat_fee", ExactDecimal(), nullable=True),
        sa.ForeignKeyConstraint(["price_key"], ["price.id"], name=op.f("fk_price_tier_price_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_tier")),
        sa.UniqueConstraint("price_key", "ordinal", name=op.f("uq_price_tier_price_key_ordinal")),
    )
    op.create_table(
        "run_warning",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("run_id", BigKey, nullable=False),
        sa.Column("scope_id", BigKey, nullable=True, comment="empty: found at submit, or while planning"),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_warning_run_id")),
        sa.ForeignKeyConstraint(["scope_id"], ["scope.id"], name=op.f("fk_run_warning_scope_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_warning")),
    )
    op.create_index(op.f("ix_run_warning_run_id"), "run_warning", ["run_id"], unique=False)
    op.create_table(
        "billing_schedule",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("billing_schedule_id", PublicId, nullable=False),
        sa.Column("asset_key", BigKey, nullable=False),
        sa.Column("period_start_date", sa.Date(), nullable=False),
        sa.Column("period_end_date", sa.Date(), nullable=False, comment="inclusive"),
        sa.Column("fee_amount", sa.BigInteger(), nullable=False),
        sa.Column("ready_for_invoice_date", sa.Date(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False, comment="Superseded among them"),
        sa.ForeignKeyConstraint(
            ["asset_key"], ["asset_line_item.id"], name=op.f("fk_billing_schedule_asset_key")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_schedule")),
        sa.UniqueConstraint("billing_schedule_id", name=op.f("uq_billing_schedule_billing_schedule_id")),
    )
    op.create_index(op.f("ix_billing_schedule_asset_key"), "billing_schedule", ["asset_key"], unique=False)
    op.create_table(
        "usage_input",
        sa.Column("id", BigKey, nullable=False, comment="also the order of arrival"),
        sa.Column("usage_input_id", PublicId, nullable=False),
        sa.Column("asset_key", BigKey, nullable=False),
        sa.Column("usage_date", sa.Date(), nullable=False),
        sa.Column("quantity", ExactDecimal(), nullable=False),
        sa.Column("product_uom", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=8), nullable=False, comment="Loaded, Rated or Error"),
        sa.Column(
            "error_by",
            sa.String(length=8),
            nullable=True,
            comment="who put it in Error: draft, rating or unrating; a draft may try again",
        ),
        sa.Column("code", sa.String(length=32), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column(
            "deleted", sa.Boolean(), nullable=False, comment="gone for everybody, but its id stays taken"
        ),
        sa.Column("rated_amount", sa.BigInteger(), nullable=True),
        sa.Column("draft_rated_amount", sa.BigInteger(), nullable=True),
        sa.Column("draft_run_key", sa.BigInteger(), nullable=True),
        sa.Column("draft_price_key", sa.BigInteger(), nullable=True),
        sa.Column("draft_contract_key", sa.BigInteger(), nullable=True),
        sa.Column("draft_discount_percent", ExactDecimal(), nullable=True),
        sa.Column("draft_prior_quantity", ExactDecimal(), nullable=True),
        sa.ForeignKeyConstraint(["asset_key"], ["asset_line_item.id"], name=op.f("fk_usage_input_asset_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_input")),
        sa.UniqueConstraint("usage_input_id", name=op.f("uq_usage_input_usage_input_id")),
    )
    op.create_index("ix_usage_input_asset_key_id", "usage_input", ["asset_key", "id"], unique=False)
    op.create_index(
        "ix_usage_input_draft_candidate",
        "usage_input",
        ["asset_key", "id", "status", "error_by", "deleted"],
        unique=False,
        sqlite_where=sa.text(
            "NOT deleted AND (status = 'Loaded' OR (status = 'Error' AND error_by = 'draft'))"
        ),
        postgresql_where=sa.text(
            "NOT deleted AND (status = 'Loaded' OR (status = 'Error' AND error_by = 'draft'))"
        ),
    )
    op.create_table(
        "usage_schedule",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("usage_schedule_id", PublicId, nullable=False),
        sa.Column("billing_schedule_key", BigKey, nullable=False),
        sa.Column("asset_key", BigKey, nullable=False, comment="its billing schedule's, for the hot path"),
        sa.Column("period_start_date", sa.Date(), nullable=False),
        sa.Column("period_end_date", sa.Date(), nullable=False, comment="inclusive"),
        sa.Column("included_quantity", ExactDecimal(), nullable=False),
        sa.Column("actual_quantity", ExactDecimal(), nullable=False),
        sa.Column("fee_amount", sa.BigInteger(), nullable=False),
        sa.Column(
            "draft_rated_quantity", ExactDecimal(), nullable=True, comment="empty until a forecast wrote it"
        ),
        sa.Column("draft_fee_amount", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["billing_schedule_key"],
            ["billing_schedule.id"],
            name=op.f("fk_usage_schedule_billing_schedule_key"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_schedule")),
        sa.UniqueConstraint("usage_schedule_id", name=op.f("uq_usage_schedule_usage_schedule_id")),
    )
    op.create_index(op.f("ix_usage_schedule_asset_key"), "usage_schedule", ["asset_key"], unique=False)
    op.create_index(
        op.f("ix_usage_schedule_billing_schedule_key"),
        "usage_schedule",
        ["billing_schedule_key"],
        unique=False,
    )


def make_lease_tables() -> None:
    op.create_table(
        "heartbeat",
        sa.Column(
            "name",
            sa.String(length=128),
            nullable=False,
            comment="run/KEY for a run's owner, peer/… for one who watches",
        ),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column(
            "counter", sa.BigInteger(), nullable=False, comment="only its standing still means anything"
        ),
        sa.Column("taker", sa.Text(), nullable=True, comment="who is taking the run over"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "lease_session",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.String(length=8),
            nullable=False,
            comment="process (a pid) or backend (a PostgreSQL session)",
        ),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column(
            "started",
            sa.Text(),
            nullable=False,
            comment="when it started, as the system says: a reused pid differs",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lease_session")),
    )
    op.create_index(op.f("ix_lease_session_run_id"), "lease_session", ["run_id"], unique=False)
