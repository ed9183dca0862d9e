"""The database's schema, version by version (Alembic).

A migration only adds: tables, indexes, columns that may stay empty. So the version before can go on with what a later one made,
and is rolled back to without touching the database.
"""

from __future__ import annotations

from importlib.resources import files
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

_LOCK = 4_217_530_112  # any number, the same in every worker
_IN_THIS_PROCESS = Lock()  # Alembic keeps its state in a module


def migrate(engine: Engine) -> bool:
    """Bring the schema to this version; of several workers that try at once, one does it and the others wait.

    False where a later version made the schema: it is left as it is.
    """
    with _IN_THIS_PROCESS:
        if engine.dialect.name == "sqlite":
            # Python's driver opens no transaction for a change of schema by itself.
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                is_ours = _upgrade(connection)
                connection.exec_driver_sql("COMMIT")
            return is_ours
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            return _upgrade(connection)


def _upgrade(connection: Connection) -> bool:
    configuration = Config()
    configuration.set_main_option("script_location", str(files("hooks") / "migrations"))
    configuration.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(configuration).walk_revisions()}
    if not known.issuperset(MigrationContext.configure(connection).get_current_heads()):
        return False
    command.upgrade(configuration, "head")
    return True
