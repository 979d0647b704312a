"""Long work, off the event loop: it says how far it is, and stops soon when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from tac_orchestrator.engines.base import Progress

T = TypeVar("T")


class Abandoned(Exception):
    """Who waited for the work was cancelled."""


async def off_the_loop(work: Callable[[Progress], T], progress: Progress | None) -> T:
    """Does it on a thread, and calls `progress` in the event loop. Cancelled, it raises once the work has stopped."""
    loop = asyncio.get_running_loop()
    abandoned = threading.Event()

    def report(done: int, total: int) -> None:
        if abandoned.is_set():
            raise Abandoned
        if progress is not None:
            loop.call_soon_threadsafe(progress, done, total)

    under_way = asyncio.ensure_future(asyncio.to_thread(work, report))
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        abandoned.set()
        with suppress(Exception):  # whatever becomes of it, nobody wants to know
            await under_way
        raise
