"""The engine's tables. One ``metadata`` carries those of the whole house, so that migrations see all."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from batchwright.engine.store.types import BigKey, PublicId, PublicName, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BEGUN = "coalesce(started_at, created_at)"
ERRORED = text("errored > 0")
"""Which rows of ``run`` have ended with errors."""

OF_PERIODS = text("periods IS NOT NULL")
"""Which rows of ``run`` are about months."""

MAY_BE_PRUNED = text("ended_at IS NOT NULL AND pruned_at IS NULL")
"""Which rows of ``run`` have ended, and have their records still."""

IS_PRUNED = text("pruned_at IS NOT NULL")
"""Which rows of ``run`` have not, any more."""

ROWS_LEFT = text("rows_left")
"""Which rows of ``run`` are pruned, with records that are still to be deleted."""

LIVE_DEDUP_KEY = text("dedup_key IS NOT NULL AND state NOT IN ('Completed', 'Failed', 'Aborted')")
"""Which rows of ``run`` keep others out by their dedup key."""

LIVE_OF_SCHEDULE = text("schedule IS NOT NULL AND state NOT IN ('Completed', 'Failed', 'Aborted')")
"""Which rows of ``run`` a schedule's overlap policy looks at."""

run = Table(
    "run",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("run_id", PublicId, unique=True, comment="JR- and the key, eight digits"),
    Column("job", String(64), nullable=False),
    Column("type", String(64), nullable=False, comment="what the log calls this kind of job"),
    Column("mode", String(8), nullable=False, comment="sync, batch or dry_run"),
    Column(
        "in_caller", Boolean, nullable=False, comment="driven by the caller outside the flex queue (sync)"
    ),
    Column("state", String(16), nullable=False),
    Column("actor", Text, nullable=False, comment="who asked for it, as claimed"),
    Column("reason", Text),
    Column("explanation", Text),
    Column("parameters", Text, nullable=False, comment="JSON object, as validated"),
    Column(
        "trigger",
        String(16),
        nullable=False,
        comment="cli, python, api, console, schedule, job, retry or apply",
    ),
    Column("schedule", Text),
    Column(
        "after_earlier",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="it holds until every earlier run of its schedule has ended",
    ),
    Column("parent_id", BigKey, ForeignKey("run.id"), index=True),
    Column("customer_id", Text),
    Column("periods", Text, comment="JSON list of YYYY-MM"),
    Column("scope_size", Integer, nullable=False),
    Column("error_ceiling", String(16), comment="a count, or a percentage such as 5%"),
    Column("notify", Text, nullable=False, comment="JSON list of addresses"),
    Column("mail_actor", Boolean, nullable=False),
    Column(
        "queue_key",
        Text,
        nullable=False,
        comment="whose turn it is is decided among keys; default: the actor",
    ),
    Column("queue_position", BigInteger, nullable=False),
    Column("dedup_key", Text, comment="of a job's runs that have not ended, one at most has it"),
    Column(
        "fence",
        BigInteger,
        nullable=False,
        comment="raised by every claim; a scope commits only under its own",
    ),
    Column("owner", Text, comment="host and process that drive it now"),
    Column("claimed_at", UtcTime, comment="when its owner, or the last one, made it theirs"),
    Column(
        "takeovers_without_progress",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="from dead owners, in a row, that found no more done than the one before; 0 again when it waits",
    ),
    Column(
        "progress_at_takeover",
        Integer,
        comment="scopes that were done at the last takeover; -1 while it was being planned",
    ),
    Column("total", Integer, comment="records planned; empty until planning is done"),
    Column("processed", Integer, comment="these four counts are written when the run ends"),
    Column("errored", Integer),
    Column("skipped", Integer),
    Column("not_reached", Integer),
    Column("totals", Text, comment="JSON: name -> currency -> minor units; written when the run ends"),
    Column("error", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("pruned_at", UtcTime, comment="since then nobody is shown what became of its records"),
    Column(
        "pruned_codes", Text, comment="JSON: outcome, code and number of the errors and skips that it had"
    ),
    Column(
        "rows_left",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="it is pruned, and rows of its records are still to be deleted",
    ),
    Column(
        "begun_at",
        UtcTime,
        Computed(BEGUN),
        comment="by what runs are listed: start, or creation while it waits",
    ),
    Column(
        "start_number", BigInteger, comment="1, 2, 3 … in the order in which runs were committed as started"
    ),
    Index("ix_run_begun_at_id", "begun_at", "id"),
    *(
        Index(f"ix_run_{name}_begun_at_id", name, "begun_at", "id")
        for name in ("state", "job", "customer_id", "actor", "schedule", "trigger")
    ),
    Index(
        "ix_run_begun_at_id_periods",
        "begun_at",
        "id",
        "periods",
        sqlite_where=OF_PERIODS,
        postgresql_where=OF_PERIODS,
    ),
    Index("ix_run_begun_at_id_errored", "begun_at", "id", sqlite_where=ERRORED, postgresql_where=ERRORED),
    Index("ix_run_ended_at", "ended_at", sqlite_where=MAY_BE_PRUNED, postgresql_where=MAY_BE_PRUNED),
    Index("ix_run_pruned", "job", "ended_at", sqlite_where=IS_PRUNED, postgresql_where=IS_PRUNED),
    Index("ix_run_rows_left", "id", sqlite_where=ROWS_LEFT, postgresql_where=ROWS_LEFT),
    Index("ix_run_start_number", "start_number", unique=True, postgresql_include=["id"]),
    Index(
        "ix_run_job_dedup_key",
        "job",
        "dedup_key",
        unique=True,
        sqlite_where=LIVE_DEDUP_KEY,
        postgresql_where=LIVE_DEDUP_KEY,
    ),
    Index(
        "ix_run_schedule_live",
        "schedule",
        "state",  # who looks needs nothing of the row: else SQLite takes the index above
        sqlite_where=LIVE_OF_SCHEDULE,
        postgresql_where=LIVE_OF_SCHEDULE,
    ),
)

steering = Table(
    "steering",
    metadata,
    Column(
        "run_id",
        BigKey,
        ForeignKey("run.id"),
        primary_key=True,
        comment="an active run; a paused one that is held",
    ),
    Column(
        "asked",
        String(8),
        nullable=False,
        comment="abort or pause, deleted when the run obeys or ends; or hold, deleted when it is resumed or ends",
    ),
    Column("actor", Text, nullable=False, comment="who asked, as claimed"),
    Column("asked_at", UtcTime, nullable=False),
)

run_selection = Table(
    "run_selection",
    metadata,
    Column("run_id", BigKey, ForeignKey("run.id"), primary_key=True),
    Column(
        "key", BigInteger, primary_key=True, comment="key of a record, or of a group, that the caller named"
    ),
)

scope = Table(
    "scope",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("run_id", BigKey, ForeignKey("run.id"), nullable=False),
    Column("number", Integer, nullable=False, comment="1, 2, 3 … in the order of planning"),
    Column("first_record", Integer, nullable=False, comment="ordinal in the run of its first record, from 1"),
    Column("state", String(8), nullable=False, comment="pending or done"),
    Column("records", Integer, nullable=False),
    Column("keys", LargeBinary, nullable=False, comment="64-bit little-endian keys, in order"),
    Column(
        "groups",
        LargeBinary,
        nullable=False,
        comment="64-bit little-endian group keys; also groups without a record",
    ),
    Column("first_group", BigInteger),
    Column("last_group", BigInteger),
    Column("ok", Integer),
    Column("errored", Integer),
    Column("skipped", Integer),
    Column("totals", Text, comment="JSON: name -> currency -> minor units"),
    Column(
        "amounts",
        LargeBinary,
        comment="64-bit minor units in the order of keys; the smallest number means none",
    ),
    Column(
        "currencies",
        Text,
        comment="JSON: one currency for all, or a list with each record's",
    ),
    Column(
        "about", Text, comment="JSON: whose records they are, two at most, and their first and last month"
    ),
    Column("done_at", UtcTime, comment="when its records were through"),
    UniqueConstraint("run_id", "number"),
    Index("ix_scope_run_id_last_group_first_group", "run_id", "last_group", "first_group"),
    # How far a run is, without the rows, of which keys and groups take most.
    Index("ix_scope_progress", "run_id", "state", "number", "records", "ok", "errored", "skipped", "done_at"),
)

outcome = Table(
    "outcome",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("run_id", BigKey, ForeignKey("run.id"), nullable=False),
    Column("scope_id", BigKey, ForeignKey("scope.id"), nullable=False, index=True),
    Column("record_key", BigInteger, nullable=False),
    Column("outcome", String(8), nullable=False, comment="error or skipped; an ok record has no row"),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    UniqueConstraint("run_id", "record_key"),
    Index("ix_outcome_run_id_outcome_code_id", "run_id", "outcome", "code", "id"),
)

run_warning = Table(
    "run_warning",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("run_id", BigKey, ForeignKey("run.id"), nullable=False, index=True),
    Column(
        "scope_id",
        BigKey,
        ForeignKey("scope.id"),
        index=True,
        comment="empty: found at submit, or while planning",  # or its scope was pruned
    ),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("record_id", Text),
)

# In the order in which a preview is read: by currency, the largest difference first. Numeric, since the difference of
# two amounts may be no BIGINT.
PREVIEW_CURRENCY = text("coalesce(currency, '')")
PREVIEW_DIFFERENCE = text("(-abs(CAST(coalesce(amount_after, 0) AS NUMERIC) - coalesce(amount_before, 0)))")

preview_line = Table(
    "preview_line",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("run_id", BigKey, ForeignKey("run.id"), nullable=False),
    Column(
        "scope_id", BigKey, ForeignKey("scope.id"), index=True, comment="empty for what finish would write"
    ),
    Column("kind", String(32), nullable=False, comment="what would change: usage_input, usage_schedule"),
    Column("record_id", PublicName, nullable=False),
    Column("customer_id", Text, comment="whose money it is"),
    Column("amount", BigInteger, comment="minor units"),
    Column("amount_before", BigInteger, comment="minor units that stand there; empty for a blank"),
    Column("amount_after", BigInteger, comment="minor units that would stand there; empty for a blank"),
    Column("currency", String(3)),
    Column("detail", Text, nullable=False, comment="JSON: what the amount was computed with, and its lines"),
    Index(
        "ix_preview_line_order",
        *("run_id", "kind", PREVIEW_CURRENCY, PREVIEW_DIFFERENCE, "id"),
        *("customer_id", "currency", "amount_before", "amount_after"),  # sums of customers need no row
    ),
)

schedule = Table(
    "schedule",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("name", PublicName, nullable=False, unique=True),
    Column("cron", Text, nullable=False, comment="Salesforce's and Quartz's, or a Unix line from a crontab"),
    Column("time_zone", String(64), nullable=False, comment="IANA name"),
    Column("job", String(64), nullable=False),
    Column("parameters", Text, nullable=False, comment="JSON object, as validated when it was saved"),
    Column("misfire", String(8), nullable=False, comment="skip, latest or all"),
    Column("grace_seconds", Integer, comment="how late a time may still be run"),
    Column("cap", Integer, nullable=False, comment="most late times that the policy all runs at once"),
    Column("overlap", String(8), nullable=False, comment="skip, queue or allow"),
    Column("start", UtcTime, comment="nothing fires before; a time equal to it does"),
    Column("end", UtcTime, comment="nothing fires after; a time equal to it does"),
    Column("owner", Text, nullable=False, comment="the actor of its runs"),
    Column("notify", Text, nullable=False, comment="JSON list of addresses"),
    Column("mail_owner", Boolean, nullable=False),
    Column("reason", Text),
    Column("explanation", Text),
    Column("scope_size", Integer),
    Column("error_ceiling", String(16)),
    Column("start_within_minutes", Integer),
    Column("finish_within_minutes", Integer),
    Column("ping", Text, comment="address that is called when a run has succeeded"),
    Column("created_at", UtcTime, nullable=False),
    Column(
        "timed_at", UtcTime, nullable=False, comment="last change of what its times are: expression, zone"
    ),
    Column("paused", Boolean, nullable=False),
    Column("paused_at", UtcTime, comment="begin of the pause, or of the last one"),
    Column("resumed_at", UtcTime, comment="end of the last pause"),
    Column("last_nominal_time", UtcTime, comment="all up to here are recorded in schedule_fire"),
    Column("ahead_told", UtcTime, comment="the time ahead of the clock of which somebody was told"),
)

schedule_fire = Table(
    "schedule_fire",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("schedule_id", BigKey, ForeignKey("schedule.id"), nullable=False),
    Column("nominal_time", UtcTime, nullable=False, comment="the first, where it is a range"),
    Column("last_nominal_time", UtcTime, nullable=False),
    Column("count", BigInteger, nullable=False, comment="nominal times in the range; 1 for a run"),
    Column("decision", String(8), nullable=False, comment="started or not_run"),
    Column("cause", String(16), comment="why they were not run, as a code; empty for a run"),
    Column("reason", Text, comment="why they were not run, for people; begins with the cause"),
    Column("run_id", PublicId, index=True, comment="the run that was started; kept when that is pruned"),
    Column("recorded_at", UtcTime, nullable=False, index=True),
    UniqueConstraint("schedule_id", "nominal_time"),
)

schedule_watch = Table(
    "schedule_watch",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("schedule_id", BigKey, ForeignKey("schedule.id"), nullable=False),
    Column("nominal_time", UtcTime, nullable=False),
    Column("last_nominal_time", UtcTime, nullable=False),
    Column("count", BigInteger, nullable=False, comment="nominal times that were not run; 1 for a run"),
    Column("run_id", PublicId, comment="empty: they were not run"),
    Column("reason", Text, comment="why they were not run"),
    Column(
        "start_by",
        UtcTime,
        comment="somebody is told when it has not started by then; emptied when it has, or they are",
    ),
    Column("finish_by", UtcTime, comment="the same of its end"),
    Column("ping", Text, comment="address to call when it has succeeded; emptied when that is done"),
    Column("pings", Integer, nullable=False, comment="calls that were begun"),
    Column("ping_at", UtcTime, comment="not before; raised before each call"),
    UniqueConstraint("schedule_id", "nominal_time"),
)

scheduling = Table(
    "scheduling",
    metadata,
    Column("id", BigKey, primary_key=True, comment="always 1"),
    Column("version", BigInteger, nullable=False, comment="raised by every change of a schedule"),
    Column("held_at", UtcTime, comment="begin of the maintenance in which nothing fires, or of the last one"),
    Column("released_at", UtcTime, comment="its end; empty while it lasts"),
)

# What workers say of themselves, for people: nothing is decided by it.
worker = Table(
    "worker",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("host", Text, nullable=False),
    Column("process", BigInteger, nullable=False, comment="its number on the host"),
    Column("version", String(64), nullable=False, comment="of Batchwright"),
    Column("revision", String(32), nullable=False, comment="of the database, as it needs it"),
    Column("jobs", Text, nullable=False, comment="JSON list: names of the jobs that it has"),
    Column(
        "left_runs", Text, nullable=False, comment="JSON: run -> why it is left to a worker that can do it"
    ),
    Column("started_at", UtcTime, nullable=False),
    Column("beat_at", UtcTime, nullable=False, comment="by the clock of its host"),
    Column(
        "clock_ahead_seconds", Float, comment="of the clock of its host, of that of the database's server"
    ),
    Column("processes", BigInteger, comment="it and its children; this and what follows as its host says"),
    Column("rss_bytes", BigInteger, comment="memory of all of them, what they share for each"),
    Column("pss_bytes", BigInteger, comment="the same, what they share once"),
    Column("connections", BigInteger, comment="to the database, of all of them"),
)

# Leases stand beside the work, not in it: on SQLite in a small file of their own (engine/store/leases.py),
# so that no scope can keep a heartbeat waiting.
lease_metadata = MetaData(naming_convention=metadata.naming_convention)

heartbeat = Table(
    "heartbeat",
    lease_metadata,
    Column(
        "name", String(128), primary_key=True, comment="run/KEY for a run's owner, peer/… for one who watches"
    ),
    Column("fence", BigInteger, nullable=False),
    Column("counter", BigInteger, nullable=False, comment="only its standing still means anything"),
    Column("taker", Text, comment="who is taking the run over"),
    Column("lease_seconds", Float, comment="the owner's own lease; a peer waits for the longer of both"),
)

lease_session = Table(
    "lease_session",
    lease_metadata,
    Column("id", BigKey, primary_key=True),
    Column("run_id", BigInteger, nullable=False, index=True),
    Column("fence", BigInteger, nullable=False),
    Column("kind", String(8), nullable=False, comment="process (a pid) or backend (a PostgreSQL session)"),
    Column("pid", BigInteger, nullable=False),
    Column(
        "started", Text, nullable=False, comment="when it started, as the system says: a reused pid differs"
    ),
)
