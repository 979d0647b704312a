"""Which processes record, so that what they ran can be closed when they are gone."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from tac_orchestrator.engines.base import Statement
from tac_orchestrator.models import Lease
from tac_orchestrator.tables.base import Page, Table, new_id, now

PULSE_S = 10.0
"""How often a recording process says that it is there."""

# A process on another host, of which only the pulse can tell, may sleep as long as this.
_PATIENCE = timedelta(minutes=5)

# psutil reckons a process's start from the clock, which may be set meanwhile.
_SAME_START = timedelta(seconds=2)


class Leases(Table[Lease]):
    kind = "lease"
    name = "leases"
    model = Lease

    async def acquire(self) -> Lease:
        """The lease of this process."""
        at = now()
        values = {
            "id": new_id(),
            "host": this_host(),
            "process_id": os.getpid(),
            "process_started_at": started_at(os.getpid()).isoformat(),
            "acquired_at": at,
            "heartbeat_at": at,
        }
        statement = self._insert("create", values)
        await self._write(statement)
        return self._inserted(statement)

    def pulse(self, lease: Lease) -> Statement:
        return self._statement("pulse", {"id": lease.id, "heartbeat_at": now()})

    def release(self, lease: Lease) -> Statement:
        return self._statement("release", {"id": lease.id, "released_at": now()})

    async def lost(self) -> Page[Lease]:
        """The leases that running agents point to although their process is gone."""
        rows = [self._row(raw) for raw in await self._fetch(self._queries["running"])]
        return [lease for lease in rows if is_lost(lease, now())]

    async def running_agents(self, lease: Lease) -> Page[str]:
        """The ids of the agents that this process left running."""
        return [raw["id"] for raw in await self._fetch(self._queries["running_agents"], lease_id=lease.id)]


def is_lost(lease: Lease, at: datetime) -> bool:
    if lease.released_at is not None:
        return True
    if lease.host != this_host():
        return at - lease.heartbeat_at > _PATIENCE
    try:
        return abs(started_at(lease.process_id) - datetime.fromisoformat(lease.process_started_at)) > _SAME_START
    except psutil.NoSuchProcess:
        return True


def started_at(process_id: int) -> datetime:
    """Raises psutil.NoSuchProcess, also for one that has ended and waits for its parent to notice."""
    process = psutil.Process(process_id)
    if process.status() == psutil.STATUS_ZOMBIE:
        raise psutil.NoSuchProcess(process_id)
    return datetime.fromtimestamp(process.create_time(), UTC)


def this_host() -> str:
    """The host, and on Linux the group of processes that share their numbers: containers have each their own."""
    try:
        numbers = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()} {numbers}"
