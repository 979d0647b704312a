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

# Where the kernel does not say what no clock changes, a start is reckoned from the clock.
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
            "process_started_at": f"{started_at(os.getpid()).isoformat()} {_mark(os.getpid())}".rstrip(),
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
        return not _is_same(started_at(lease.process_id), lease)
    except psutil.NoSuchProcess:
        return True


def _is_same(started: datetime, lease: Lease) -> bool:
    """Whether the process that has the number now is the one that took the lease."""
    told, _, mark = lease.process_started_at.partition(" ")
    found = _mark(lease.process_id)
    return mark == found if mark and found else abs(started - datetime.fromisoformat(told)) <= _SAME_START


def _mark(process_id: int) -> str:
    """On Linux, this boot and the tick of it in which the process began: they stay when the clock is set. Elsewhere nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        told = Path(f"/proc/{process_id}/stat").read_bytes()
    except OSError:
        return ""
    return f"{boot}:{int(told.rpartition(b')')[2].split()[19])}"


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
