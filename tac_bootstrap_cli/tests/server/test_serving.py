"""Where the server listens, and what it begins with."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tac_orchestrator.errors import InvalidSetting
from tac_orchestrator.server.serving import listen

from .support import serving


async def test_an_answer_in_two_parts_does_not_wait_for_the_first_to_be_acknowledged() -> None:
    """Or every answer would take the 40 ms by which a client puts off its acknowledgement."""
    sends_at_once = asyncio.get_running_loop().create_future()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        sends_at_once.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    server = await asyncio.start_server(answer, sock=listen("127.0.0.1", 0))
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.close()
        assert await asyncio.wait_for(sends_at_once, 10) == 1


def test_an_address_that_somebody_has_is_refused_in_a_sentence() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(InvalidSetting, match="Address already in use"):
        listen("127.0.0.1", first.getsockname()[1])


def test_an_interrupt_ends_it_also_where_its_parent_ignores_one(tmp_path: Path) -> None:
    """As a shell does for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with serving(tmp_path / "orchestrator.db"):  # which says how it has to end
            signal.signal(signal.SIGINT, before)
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_language_of_descriptions_is_made_when_somebody_asks_for_one() -> None:
    """To make it at every start would be a fifth of what the server's imports take."""
    code = """
import tac_orchestrator.server.app
from fastapi.openapi.models import Contact
from pydantic import BaseModel
class Own(BaseModel): pass
print(Contact.__pydantic_complete__, Own.__pydantic_complete__, Contact(name="x").name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "x"]
