"""Takes in what hooks have written down beside the store, see `tac_orchestrator.hook`. Secrets are taken out here.

The file is taken away first, under a lock that a hook asks for, so that nothing is added to what is being read. It goes when
its rows are stored; one that somebody else could not finish is taken in again, which changes nothing that was.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from tac_orchestrator.database import Database
from tac_orchestrator.errors import InvalidRecord, OrchestratorError
from tac_orchestrator.hook import spool_of
from tac_orchestrator.ingest.claude_code.hooks import HookRecord, HookSession, Known
from tac_orchestrator.ingest.claude_code.transcript import complete_lines, json_object, parsed_line
from tac_orchestrator.ingest.identity import row_id
from tac_orchestrator.ingest.intake import Intake
from tac_orchestrator.ingest.otel.intake import keep_names
from tac_orchestrator.tables.base import MAX_PAGE
from tac_orchestrator.tables.sources import Values

try:
    import fcntl
except ImportError:  # Windows: what a hook adds in the moment of the taking may be lost
    fcntl = None

_LOG = logging.getLogger("tac_orchestrator")

_AT_ONCE = 2000
"""Records that are stored together, so that no spool takes all memory."""

_LOOK_S = 0.5
_TAKEN = ".taken"


@dataclass(slots=True)
class TakenIn:
    """What became of a spool. Agents and logs are those that were new or have changed."""

    records: int = 0
    agents: int = 0
    agent_logs: int = 0
    skipped_lines: int = 0


def spool_files(target: str) -> list[Path]:
    """What waits to be taken in: the file that hooks write to, and those that somebody has begun to take in."""
    spool = Path(spool_of(target))
    with suppress(OSError):
        return [*sorted(spool.parent.glob(f"{spool.name}.*{_TAKEN}")), *([spool] if spool.exists() else [])]
    return []


async def take_in(database: Database) -> TakenIn:
    """Store what hooks have written down since somebody did this last. It can be repeated if the store raises."""
    taken = TakenIn()
    place = str(database.settings.place)
    if spool_files(place):
        await asyncio.to_thread(_take_away, Path(spool_of(place)))
        for path in spool_files(place):
            if path.suffix == _TAKEN:
                await _take_file(database, path, taken)
    return taken


@asynccontextmanager
async def taking_in(database: Database, tell: Callable[[TakenIn], object] | None = None) -> AsyncGenerator[None]:
    """Do so again and again, as long as the block lasts, and tell what became of it."""
    following = asyncio.create_task(_follow(database, tell))
    try:
        yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def _follow(database: Database, tell: Callable[[TakenIn], object] | None) -> None:
    has_warned = False
    while True:
        try:
            taken = await take_in(database)
            if tell is not None:
                tell(taken)
            has_warned = False
        except (OrchestratorError, OSError) as error:
            if not has_warned:
                _LOG.warning("what hooks have written down is not taken in yet: %s", error)
            has_warned = True
        await asyncio.sleep(_LOOK_S)


def _take_away(spool: Path) -> None:
    """No hook adds to a file that has another name. Where nothing may be renamed, nothing can be taken in."""
    with suppress(OSError), spool.open("rb") as stream:
        if fcntl is not None:
            fcntl.flock(stream, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(stream.fileno()), spool.lstat()):
            spool.rename(f"{spool}.{secrets.token_hex(4)}{_TAKEN}")


async def _take_file(database: Database, path: Path, taken: TakenIn) -> None:
    with suppress(FileNotFoundError), _held(path) as stream:
        if stream is None:
            return
        intake, records = Intake(database), _records(stream, taken)
        with closing(records):
            while batch := await asyncio.to_thread(lambda: list(islice(records, _AT_ONCE))):
                await _store(database, intake, batch, taken)
        await asyncio.to_thread(path.unlink, missing_ok=True)


@contextmanager
def _held(path: Path) -> Generator[BinaryIO | None]:
    """The file, unless somebody else is about to take it in."""
    with path.open("rb") as stream:
        try:
            if fcntl is not None:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield stream


def _records(stream: BinaryIO, taken: TakenIn) -> Generator[HookRecord]:
    for line in complete_lines(stream):
        record = _record(line.data) if line.data is not None else None
        if record is None:
            taken.skipped_lines += 1
        else:
            taken.records += 1
            yield record


def _record(data: bytes) -> HookRecord | None:
    line = parsed_line(data) or {}
    at, told = line.get("at"), json_object(line.get("hook"))
    if type(at) is not int or not isinstance(told.get("session_id"), str):
        return None
    try:
        return HookRecord(datetime.fromtimestamp(at / 1_000_000, UTC), told)
    except (ValueError, OverflowError, OSError):
        return None


async def _store(database: Database, intake: Intake, records: list[HookRecord], taken: TakenIn) -> None:
    for session_id, ours in _by_session(records):
        session = HookSession(session_id, await _known(database, session_id))
        try:
            rows = session.rows(ours)
            await keep_names(database, session_id, session.names)
            stored = await intake.store(*rows)
        except InvalidRecord as error:  # it would be refused the next time as well
            _LOG.warning("what hooks have told of session %s is left out: %s", session_id, error)
            taken.skipped_lines += len(ours)
        else:
            taken.agents += len(stored.rows.agents)
            taken.agent_logs += len(stored.rows.agent_logs)


def _by_session(records: Iterable[HookRecord]) -> Iterator[tuple[str, list[HookRecord]]]:
    found: dict[str, list[HookRecord]] = {}
    for record in records:
        found.setdefault(record.session_id or "", []).append(record)
    yield from found.items()


async def _known(database: Database, session_id: str) -> Known:
    """The agents of a session that are stored, whichever workflow they belong to."""
    main_id = row_id("cc", session_id, "main")
    main = (await database.sources.known_agents([main_id])).get(main_id)
    if main is None:
        return Known({})
    agents: dict[str | None, Values] = {}
    async with database.transaction() as undelayed:
        found = await undelayed.agents.list(session_id=main["session_id"], limit=MAX_PAGE)
    for agent in found:
        context = agent.context or {}
        key = None if agent.id == main_id else context.get("agent_key")
        if agent.id == main_id or (context.get("claude_session") == session_id and isinstance(key, str)):
            kind = await database.orchestrator_agents.get(agent.orchestrator_agent_id)
            agents[key] = {**dict(agent), "kind": kind.name}
    return Known(agents)
