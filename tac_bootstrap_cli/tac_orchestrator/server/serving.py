"""Runs the server: where it listens, and how it begins and ends."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from tac_orchestrator.errors import InvalidSetting
from tac_orchestrator.server.guard import Place

TELEMETRY_PORT = 4318
"""Where exporters of telemetry send to when they are told nothing else."""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_GRACE_S = 5
_HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections there; at any free port for 0. Raises InvalidSetting if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once only what is TCP by name; else the second half of an answer waits for 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(1024)
    except OSError as error:
        found.close()
        raise InvalidSetting("address", f"{host}:{port}", f"one that is free here ({error.strerror})") from error
    return found


def listen_for_telemetry(host: str) -> socket.socket | None:
    """A socket at the usual port; None if somebody has it."""
    with suppress(InvalidSetting):
        return listen(host, TELEMETRY_PORT)
    return None


def place_of(sockets: Sequence[socket.socket], allowed_hosts: Sequence[str] = (), *, is_read_only: bool = False) -> Place:
    """By which names these sockets are known. The first one has the page."""
    ports = [one.getsockname()[1] for one in sockets]
    names = [*_LOOPBACK, *allowed_hosts]
    return Place(
        hosts=frozenset(f"{name}:{port}" for name in names for port in ports).union(names if 80 in ports else ()),
        origins=frozenset(f"{scheme}://{name}:{ports[0]}" for name in names for scheme in ("http", "https")),
        cookie_name=f"tac_orchestrator_{ports[0]}",
        is_local=all(is_loopback(one.getsockname()[0]) for one in sockets),
        is_read_only=is_read_only,
    )


async def serve(app: ASGIApp, sockets: Sequence[socket.socket], *, ready: Callable[[], None]) -> None:
    """Returns when it was told to end. `ready` is called when it answers."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        log_level="warning",
        access_log=False,  # a link's code, or a search, is nobody's business
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    await _Server(config, ready).serve(sockets=list(sockets))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """They end the server, and not what is around it, which has a store to close. What `nohup` ignores stays ignored."""
        heeded = [signal.SIGINT, signal.SIGTERM]
        if _HANG_UP is not None and signal.getsignal(_HANG_UP) is not signal.SIG_IGN:
            heeded.append(_HANG_UP)
        before = {one: signal.signal(one, self.handle_exit) for one in heeded}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach that address."""
    return address.startswith("127.") or address == "::1"
