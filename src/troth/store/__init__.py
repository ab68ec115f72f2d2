"""The database: connections, snapshots, write transactions and migrations, on SQLite or PostgreSQL.

Knows no table's meaning: every room above keeps its own ``tables.py`` on the one `schema.metadata`.
"""
