"""Run by Alembic: migrates on the connection that it was given."""

from __future__ import annotations

from alembic import context

from hooks.store import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
