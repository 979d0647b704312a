"""How commands run what waits, so that Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, which an interrupt always ends, and in good order. Raises KeyboardInterrupt.

    There, one that comes just before the loop begins to wait is seen only when something else wakes the loop, and one
    that comes while a future is being set cancels it under its hands.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return asyncio.run(work)  # somebody has decided what an interrupt means

    async def heeding() -> T:
        with _woken_by_signals(), _cancelled_by_interrupt():
            return await work

    try:
        return asyncio.run(heeding())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@contextmanager
def _woken_by_signals() -> Generator[None]:
    """Whichever thread gets a signal, the loop of this one stops waiting, so that the signal's handler can run."""
    loop = asyncio.get_running_loop()
    inside, outside = socket.socketpair()
    inside.setblocking(False)
    outside.setblocking(False)
    loop.add_reader(inside, inside.recv, 4096)
    before = signal.set_wakeup_fd(outside.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        loop.remove_reader(inside)
        inside.close()
        outside.close()


@contextmanager
def _cancelled_by_interrupt() -> Generator[None]:
    """The first cancels this task in the loop's own time, so that it can tidy up. The second ends it where it is."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    interrupts = 0

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(task.cancel)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
