"""For commands that go on until they are interrupted."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Coroutine
from typing import Any


async def while_somebody_reads(work: Coroutine[Any, Any, None]) -> None:
    """A reader who goes away is noticed at once, not only when there is something to write. Raises BrokenPipeError."""
    task = asyncio.ensure_future(work)
    output = sys.stdout.fileno()
    if stat.S_ISFIFO(os.fstat(output).st_mode):
        asyncio.get_running_loop().add_reader(output, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if task.cancelled() and not _is_cancelling():
            raise BrokenPipeError from None
        raise


def _is_cancelling() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
