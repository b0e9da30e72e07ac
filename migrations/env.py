"""Runs the migrations on the connection that ``engine.store.database`` hands over."""

from __future__ import annotations

from alembic import context

import billing.tables  # noqa: F401  (each of these imports adds its tables to the metadata)
import notifications.tables  # noqa: F401
import operations.tables  # noqa: F401
from engine.store.tables import lease_metadata, metadata

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
