"""How commands run what waits, so that Ctrl-C ends it, and so does whoever ends processes: half a file is not left behind."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from tac_orchestrator.cli.failures import Ended

T = TypeVar("T")

_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, which an interrupt always ends, and in good order. Raises KeyboardInterrupt, or Ended for another signal.

    There, one that comes just before the loop begins to wait is seen only when something else wakes the loop, and one
    that comes while a future is being set cancels it under its hands.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return asyncio.run(work)  # somebody has decided what an interrupt means

    received = list[int]()

    async def heeding() -> T:
        with _woken_by_signals(), _cancelled_by_signals(received):
            return await work

    try:
        return asyncio.run(heeding())
    except asyncio.CancelledError:
        ending = next((number for number in received if number != signal.SIGINT), None)
        raise KeyboardInterrupt if ending is None else Ended(ending) from None


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
def _cancelled_by_signals(received: list[int]) -> Generator[None]:
    """The first cancels this task in the loop's own time, so that it can tidy up. The second ends it where it is."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        for ending in endings:
            signal.signal(ending, signal.SIG_DFL)
        loop.call_soon_threadsafe(task.cancel)

    endings = [number for number in _ENDINGS if signal.getsignal(number) is signal.SIG_DFL]  # nohup ignores one
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, *endings)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
