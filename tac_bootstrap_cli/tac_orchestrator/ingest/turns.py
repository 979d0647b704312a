"""Several processes at once may add to the rows of one session of Claude Code: a server takes its telemetry and hooks, a pipe
its stream, an import its transcripts. Whoever adds to a row has to know it as it is.

So each write to a session takes its turn, which nobody else has taken since the rows were read; else they are read again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from tac_orchestrator.database import Database
from tac_orchestrator.tables.spans import WrittenMeanwhile

T = TypeVar("T")

Turns = Mapping[str, str]
"""Whose turn it was last, by session. To be taken with what is written."""

# For how long it is tried, where others write as well.
_PATIENCE_S = 60.0
_LONGEST_STEP_S = 0.1


async def in_turn(database: Database, sessions: Iterable[str], attempt: Callable[[Turns], Awaitable[T]]) -> T:
    """What the attempt gives, which reads, and takes the turns with what it writes. Raises WrittenMeanwhile in the end."""
    names, patience_ends = sorted(set(sessions)), time.monotonic() + _PATIENCE_S
    while True:
        turns = await database.spans.turns(names)
        try:
            return await attempt(turns)
        except WrittenMeanwhile:
            if time.monotonic() > patience_ends:
                raise
            await asyncio.sleep(random.uniform(0, _LONGEST_STEP_S))  # noqa: S311 - keeps no secret; not in step with the other
