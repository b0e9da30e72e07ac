"""Schedules, what became of their times, and runs that wait for earlier ones of their schedule."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, PublicId, PublicName, UtcTime

revision = "0004"
down_revision: str | None = "0003"

LIVE_OF_SCHEDULE = "schedule IS NOT NULL AND state NOT IN ('Completed', 'Failed', 'Aborted')"


def upgrade() -> None:
    """Add the column and its index, and the three tables."""
    op.add_column(
        "run",
        sa.Column(
            "after_earlier",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="it holds until every earlier run of its schedule has ended",
        ),
    )
    op.create_index(
        "ix_run_schedule_live",
        "run",
        ["schedule"],
        sqlite_where=sa.text(LIVE_OF_SCHEDULE),
        postgresql_where=sa.text(LIVE_OF_SCHEDULE),
    )
    op.create_table("schedule", *_what_and_when(), *_how(), *_standing())
    op.create_table(
        "schedule_fire",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("schedule_id", BigKey, nullable=False),
        sa.Column("nominal_time", UtcTime(), nullable=False, comment="the first, where it is a range"),
        sa.Column("last_nominal_time", UtcTime(), nullable=False),
        sa.Column(
            "count", sa.BigInteger(), nullable=False, comment="nominal times in the range; 1 for a run"
        ),
        sa.Column("decision", sa.String(8), nullable=False, comment="started or not_run"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why they were not run"),
        sa.Column(
            "run_id", PublicId, nullable=True, comment="the run that was started; kept when that is pruned"
        ),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedule.id"], name=op.f("fk_schedule_fire_schedule_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_fire")),
        sa.UniqueConstraint(
            "schedule_id", "nominal_time", name=op.f("uq_schedule_fire_schedule_id_nominal_time")
        ),
    )
    op.create_index(op.f("ix_schedule_fire_run_id"), "schedule_fire", ["run_id"])
    op.create_table(
        "scheduling",
        sa.Column("id", BigKey, nullable=False, comment="always 1"),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="raised by every change of a schedule"),
        sa.Column(
            "held_at",
            UtcTime(),
            nullable=True,
            comment="begin of the maintenance in which nothing fires, or of the last one",
        ),
        sa.Column("released_at", UtcTime(), nullable=True, comment="its end; empty while it lasts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduling")),
    )


def _what_and_when() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", BigKey, nullable=False),
        sa.Column("name", PublicName, nullable=False),
        sa.Column(
            "cron",
            sa.Text(),
            nullable=False,
            comment="Salesforce's and Quartz's, or a Unix line from a crontab",
        ),
        sa.Column("time_zone", sa.String(64), nullable=False, comment="IANA name"),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column(
            "parameters",
            sa.Text(),
            nullable=False,
            comment="JSON object, as validated when it was saved",
        ),
        sa.Column("misfire", sa.String(8), nullable=False, comment="skip, latest or all"),
        sa.Column("grace_seconds", sa.Integer(), nullable=True, comment="how late a time may still be run"),
        sa.Column(
            "cap",
            sa.Integer(),
            nullable=False,
            comment="most late times that the policy all runs at once",
        ),
        sa.Column("overlap", sa.String(8), nullable=False, comment="skip, queue or allow"),
        sa.Column("start", UtcTime(), nullable=True, comment="nothing fires before; a time equal to it does"),
        sa.Column("end", UtcTime(), nullable=True, comment="nothing fires after; a time equal to it does"),
    ]


def _how() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("owner", sa.Text(), nullable=False, comment="the actor of its runs"),
        sa.Column("notify", sa.Text(), nullable=False, comment="JSON list of addresses"),
        sa.Column("mail_owner", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("scope_size", sa.Integer(), nullable=True),
        sa.Column("error_ceiling", sa.String(16), nullable=True),
        sa.Column("start_within_minutes", sa.Integer(), nullable=True),
        sa.Column("finish_within_minutes", sa.Integer(), nullable=True),
        sa.Column(
            "ping", sa.Text(), nullable=True, comment="address that is called when a run has succeeded"
        ),
    ]


def _standing() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column(
            "timed_at",
            UtcTime(),
            nullable=False,
            comment="last change of what its times are: expression, zone",
        ),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("paused_at", UtcTime(), nullable=True, comment="begin of the pause, or of the last one"),
        sa.Column("resumed_at", UtcTime(), nullable=True, comment="end of the last pause"),
        sa.Column(
            "last_nominal_time",
            UtcTime(),
            nullable=True,
            comment="all up to here are recorded in schedule_fire",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule")),
        sa.UniqueConstraint("name", name=op.f("uq_schedule_name")),
    ]
