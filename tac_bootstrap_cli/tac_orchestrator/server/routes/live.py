"""The socket that tells of every change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from tac_orchestrator.errors import InvalidRecord
from tac_orchestrator.models import Entity
from tac_orchestrator.server.live import Interest, Live

router = APIRouter()

_PULSE_S = 10.0
_TRY_AGAIN = 1013
_BAD = 1008


@router.websocket("/api/live")
async def live(
    socket: WebSocket,
    session_id: str | None = None,
    agent_id: str | None = None,
    entity: Annotated[list[Entity] | None, Query()] = None,
    position: str | None = None,
) -> None:
    """Frames are JSON: `changes` with their rows, `pulse` when nothing happens, `reset` or `late` before the end. Each has a
    `position`: who connects again with the last one misses nothing."""
    await socket.accept()
    hub: Live = socket.app.state.live
    interest = Interest(session_id, agent_id, None if entity is None else frozenset(entity))
    frames = hub.listen(interest, position, _PULSE_S)
    sending = asyncio.create_task(_send(socket, frames))
    with suppress(WebSocketDisconnect):
        await _until_gone(socket, sending)
    sending.cancel()
    with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
        await sending


async def _until_gone(socket: WebSocket, sending: asyncio.Task[None]) -> None:
    """What a listener sends is read, so that it is noticed when it goes, and means nothing."""
    receiving = asyncio.create_task(_drain(socket))
    try:
        await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        receiving.cancel()


async def _drain(socket: WebSocket) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return


async def _send(socket: WebSocket, frames: AsyncIterator[bytes]) -> None:
    try:
        async with aclosing(frames):  # pyright: ignore[reportArgumentType]
            async for frame in frames:
                await socket.send_text(frame.decode())
        await socket.close(_TRY_AGAIN)
    except InvalidRecord as error:
        await socket.close(_BAD, str(error)[:120])
