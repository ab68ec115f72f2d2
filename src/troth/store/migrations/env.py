"""Alembic runs this file to apply migrations. The connection, in a transaction, comes from `store.migrate`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
