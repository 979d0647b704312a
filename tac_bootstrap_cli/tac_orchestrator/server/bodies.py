"""Reads what is sent, unpacked, and never more of it than there is room for."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

from starlette.requests import Request

MAX_BODY = 64 * 1024 * 1024
"""Bytes that a body may have once it is unpacked."""

_MAX_UNDER_WAY = 256 * 1024 * 1024
_PATIENCE_S = 60.0
_GZIP = zlib.MAX_WBITS | 16
_PIECE = 1024 * 1024


class BodyRefused(Exception):
    """A body that is not read to its end: the status to answer with, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Room:
    """What all bodies that are under way may take together. Who finds none is told to come back."""

    def __init__(self, size: int = _MAX_UNDER_WAY) -> None:
        self._left = size

    @contextmanager
    def share(self) -> Generator[Share]:
        share = Share(self)
        try:
            yield share
        finally:
            self._left += share.size

    def take(self, size: int) -> None:
        """Raises BodyRefused."""
        if size > self._left:
            raise BodyRefused(503, "too much is under way; try again")
        self._left -= size


class Share:
    """The room that one body has."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.size = 0

    def grow(self, size: int) -> None:
        """Raises BodyRefused."""
        if self.size + size > MAX_BODY:
            raise BodyRefused(413, f"a body may have {MAX_BODY:,} bytes; send fewer records at once")
        self._room.take(size)
        self.size += size


async def read_body(request: Request, share: Share) -> bytes:
    """The whole body. Raises BodyRefused for one that is too large, too slow, or packed in an unknown way."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", ""}:
        raise BodyRefused(415, f"a body may be packed with gzip, not with {encoding[:40]}")
    pieces = list[bytes]()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async for piece in _unpacked(request.stream()) if encoding == "gzip" else request.stream():
                share.grow(len(piece))
                pieces.append(piece)
    except TimeoutError:
        raise BodyRefused(408, f"the body has not come within {_PATIENCE_S:g} s") from None
    except zlib.error as error:
        raise BodyRefused(400, f"the body is not gzip: {error}") from error
    return b"".join(pieces)


async def _unpacked(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In pieces that are small whatever was packed. A packing may have several members, one behind another."""
    member, fresh = zlib.decompressobj(_GZIP), True
    async for packed in stream:
        while packed:
            piece = member.decompress(packed, _PIECE)
            packed, fresh = member.unconsumed_tail or member.unused_data, False
            if piece:
                yield piece
            if member.eof:
                member, fresh = zlib.decompressobj(_GZIP), True
            elif not piece:
                break
    if not fresh and not member.eof:
        raise zlib.error("it ends in the middle")
