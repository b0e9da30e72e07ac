"""Runs the migrations on the connection that ``batchwright.engine.store.migrating`` hands over."""

from __future__ import annotations

from alembic import context

import batchwright.billing.tables
import batchwright.notifications.tables
import batchwright.operations.tables  # noqa: F401
from batchwright.engine.store.tables import lease_metadata, metadata

connection = context.config.attributes["connection"]
on_sqlite = connection.dialect.name == "sqlite"
# On SQLite the leases live in a file of their own, see engine/store/leases.py.
context.configure(
    connection=connection,
    target_metadata=[metadata] if on_sqlite else [metadata, lease_metadata],
    render_as_batch=on_sqlite,
    transactional_ddl=True,
)
context.run_migrations()
