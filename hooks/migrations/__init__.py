"""The database's schema, version by version (Alembic)."""

from __future__ import annotations

from importlib.resources import files
from threading import Lock

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

_LOCK = 4_217_530_112  # any number, the same in every worker
_IN_THIS_PROCESS = Lock()  # Alembic keeps its state in a module


def migrate(engine: Engine) -> None:
    """Bring the schema to this version; of several workers that try at once, one does it and the others wait."""
    with _IN_THIS_PROCESS:
        if engine.dialect.name == "sqlite":
            # Python's driver opens no transaction for a change of schema by itself.
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                _upgrade(connection)
                connection.exec_driver_sql("COMMIT")
            return
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(files("hooks") / "migrations"))
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")
