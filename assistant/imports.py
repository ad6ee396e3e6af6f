"""The imports of the literature as the workers run them: with a heartbeat that holds the lease while a step is slow."""

import uuid

from django.conf import settings

from assistant.heartbeat import Heartbeat
from corpus.imports import work

SILENCE = 900.0  # seconds a step may finish no record: it may wait for another process that builds the index


def carry_out(import_id: uuid.UUID | str, seconds: float = work.STEP, say: work.Say = lambda row: None) -> None:
    """The next step of an import. Does nothing when somebody else has it; tidies up when it was stopped."""
    row = work.claim(import_id)
    if row is None:
        work.tidy(import_id)
        return
    with Heartbeat(lambda: work.renew(row), settings.RUN_LEASE / 3, limit=SILENCE, sign=lambda: row.done):
        work.advance(row, seconds, say)
