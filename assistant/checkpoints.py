"""LangGraph's checkpoints, in the database that holds everything else."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from django.db import connection
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver


@contextmanager
def checkpointer() -> Iterator[BaseCheckpointSaver[str]]:
    """A saver on a connection of its own, closed at the end: a step of a run writes little and seldom."""
    if connection.vendor == "postgresql":
        with _postgres() as saver:
            yield saver
        return
    name = str(connection.settings_dict["NAME"])
    with closing(sqlite3.connect(name, timeout=20, check_same_thread=False)) as database:
        yield SqliteSaver(database)


@contextmanager
def _postgres() -> Iterator[BaseCheckpointSaver[str]]:
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg import Connection
    from psycopg.rows import dict_row

    parameters = {**connection.get_connection_params(), "row_factory": dict_row, "autocommit": True}
    parameters["prepare_threshold"] = 0  # what LangGraph asks for; Django names it too
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    with Connection.connect(**parameters) as database:
        yield PostgresSaver(database)


def forget(thread: str) -> None:
    """Delete the checkpoints of a run that is over."""
    with checkpointer() as saver:
        if isinstance(saver, SqliteSaver):
            saver.setup()
        saver.delete_thread(thread)


def create_tables() -> None:
    """PostgreSQL's checkpoint tables, made with the migrations; SQLite's are made on first use."""
    if connection.vendor == "postgresql":
        with _postgres() as saver:
            saver.setup()  # type: ignore[attr-defined]
